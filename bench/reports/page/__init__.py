"""What all reports are written with: tables, pages, figures, folders."""
