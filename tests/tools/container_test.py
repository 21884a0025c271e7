"""The second stage of the Dockerfile installs the package of every library that the program asks for."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

BASE = {"libc6", "libgcc-s1", "libstdc++6"}  # debian:12-slim has them


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    dockerfile, program = sys.argv[1:]
    if 'VERSION_ID="12"' not in open("/etc/os-release").read() or not shutil.which("readelf"):
        print("not Debian 12, whose packages the Dockerfile names")
        sys.exit(77)
    runtime = open(dockerfile).read().split("FROM ")[2]
    named = set(re.search(r"apt-get install -y --no-install-recommends ([^\\&]*)", runtime).group(1).split())
    paths = dict(re.findall(r"(\S+) => (/\S+)", output("ldd", program)))
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", program))
    packages = {output("dpkg", "-S", f"*/{Path(paths[name]).parent.name}/{name}").split(":")[0] for name in needed if name in paths}
    missing, idle = packages - named - BASE, named - packages
    if missing or idle:
        sys.exit(f"the Dockerfile does not install {sorted(missing)}, and installs {sorted(idle)} for nothing")


main()
