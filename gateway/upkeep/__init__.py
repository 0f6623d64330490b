"""What keeps an installation whole over years: backups, examination and repair of the logs, new epochs."""
