"""What an operator wants to know before (or while) serving: is everything that the service leans on sound."""
