# core IT: files are not for everyone.
umask 027
