"""Writes the wheel of a small project, as a company's own library would come: make_wheel.py FOLDER"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

FILES = {
    "house_rates/__init__.py": "def main() -> None:\n    print(2026 / 1000)\n",
    "house_rates-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: house-rates\nVersion: 1.2\n",
    "house_rates-1.2.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "house_rates-1.2.dist-info/entry_points.txt": "[console_scripts]\nhouse-rates = house_rates:main\n",
}

path = Path(sys.argv[1], "house_rates-1.2-py3-none-any.whl")
if not path.exists():
    path.parent.mkdir(parents=True, exist_ok=True)
    record = ""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in FILES.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
            wheel.writestr(name, text)
        wheel.writestr("house_rates-1.2.dist-info/RECORD", record + "house_rates-1.2.dist-info/RECORD,,\n")
    sys.stdout.write("written\n")
