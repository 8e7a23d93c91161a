"""Reports: data, tables, figures and pages, made from stored rows alone."""
