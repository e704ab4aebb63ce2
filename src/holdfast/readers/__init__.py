"""Any model and any data become a Subject."""
