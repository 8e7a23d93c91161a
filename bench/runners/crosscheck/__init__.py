"""Files are decoded under other settings, and on other machines, than they were encoded under."""
