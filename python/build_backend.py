"""What pip calls to build the package (PEP 517): CMake's work, in a wheel.

A wheel is a zip file of a few known parts, so no build tool needs to be fetched, and an offline machine can install.
libflashlm is called through its C header: one wheel serves every version of Python. The build is that of
tools/build.sh, build/release, which is fast where that has run; FLASHLM_BUILD names another folder.
"""
import base64
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "flashlm"


def version():
    """As CMakeLists.txt has it, which alone knows."""
    return re.search(r"project\(flashlm VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]


def metadata():
    return (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version()}\n"
        "Summary: Small language models, trained from scratch on CPUs\nLicense: MIT\n"
        "Requires-Python: >=3.9\nRequires-Dist: numpy\nDescription-Content-Type: text/markdown\n\n"
        + (ROOT / "docs/python.md").read_text(encoding="utf-8")
    )


def tag():
    return "py3-none-" + re.sub("[-.]", "_", sysconfig.get_platform())


def wheel_info():
    return f"Wheel-Version: 1.0\nGenerator: flashlm\nRoot-Is-Purelib: false\nTag: {tag()}\n"


def info_files():
    folder = f"{NAME}-{version()}.dist-info"
    return {
        f"{folder}/METADATA": metadata().encode(),
        f"{folder}/WHEEL": wheel_info().encode(),
        f"{folder}/entry_points.txt": b"[console_scripts]\nflashlm = flashlm.__main__:main\n",
        f"{folder}/LICENSE": (ROOT / "LICENSE").read_bytes(),
    }


def run(*command):
    """Runs a step of the build; its output is pip's to show (pip -v)."""
    print("+", *command, flush=True)
    # pip hides what is installed from Python programs, of which cmake may be one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        sys.exit(f"error: {command[0]} failed (hint: tools/setup.sh installs what the build needs)")


def build():
    """The folder with libflashlm and the program."""
    folder = Path(os.environ.get("FLASHLM_BUILD") or ROOT / "build" / "release")
    if not (folder / "CMakeCache.txt").exists():
        run("cmake", "--preset", "release", "-B", str(folder))
    jobs = str(os.cpu_count() or 1)
    run("cmake", "--build", str(folder), "--parallel", jobs, "--target", "flashlm", "flashlm_flashlm")
    return folder


def get_requires_for_build_wheel(config_settings=None):
    return []


def get_requires_for_build_sdist(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    for name, content in info_files().items():
        path = Path(metadata_directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path.parent.name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    folder = build()
    soname = "libflashlm.so." + ".".join(version().split(".")[:2])
    files = {f"{NAME}/{path.name}": path.read_bytes() for path in sorted((ROOT / "python" / NAME).glob("*.py*"))}
    files[f"{NAME}/py.typed"] = b""
    files[f"{NAME}/{soname}"] = (folder / soname).read_bytes()
    for program in ("flashlm", "libflashlm_mpi.so"):  # the latter where there was an MPI (docs/cluster.md)
        if (folder / program).exists():
            files[f"{NAME}/bin/{program}"] = (folder / program).read_bytes()
    files.update(info_files())

    wheel = f"{NAME}-{version()}-{tag()}.whl"
    record = f"{NAME}-{version()}.dist-info/RECORD"
    lines = []
    with zipfile.ZipFile(Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}\n")
            write(archive, name, content)
        write(archive, record, ("".join(lines) + f"{record},,\n").encode())
    return wheel


def write(archive, name, content):
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same sources make the same wheel
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100755 if "/bin/" in name else 0o100644) << 16
    archive.writestr(entry, content)


def build_sdist(sdist_directory, config_settings=None):
    """What git knows, and PKG-INFO."""
    base = f"{NAME}-{version()}"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tarfile.open(Path(sdist_directory) / f"{base}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name in filter(None, listed.split("\0")):
            archive.add(ROOT / name, f"{base}/{name}")
        info = Path(sdist_directory) / "PKG-INFO"
        info.write_text(metadata(), encoding="utf-8")
        archive.add(info, f"{base}/PKG-INFO")
        info.unlink()
    return f"{base}.tar.gz"
