"""The embedded cloud: an AWS emulator on loopback and real Linux hosts that stand behind its EC2 instances."""
