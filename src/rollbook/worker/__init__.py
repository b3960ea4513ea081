"""What works behind the calls: the unenrollment queue and the end of retention."""
