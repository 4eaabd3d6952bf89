"""What a company runs beside the lab's hosts: its directory, its identity provider.

The programs are real and kept by others; each runs on COMPANY_ADDRESS in the lab's router namespace, and ends with the
lab. One module per service; `base.py` starts, finds and ends them.
"""
