"""The AWS emulator of the embedded cloud: MiniStack plus what our stacks need."""
