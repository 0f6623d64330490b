"""What `gateway doctor` concludes from what it saw: values in, findings out. Asks nobody, changes nothing."""
