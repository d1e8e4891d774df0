#!/usr/bin/env python3
"""Static stand-ins for the CUDA libraries, so that one binary runs with and without a GPU.

cudarc, as candle configures it, links libcuda, libcublas, libcurand, ... by name: where one is missing the loader stops the
program before `main`. Here each link name becomes a linker script that points to one archive with a function of every name that
cudarc declares. Such a function jumps through a table. A constructor opens the real libraries when the program starts, if
the driver library libcuda.so.1 is there, and fills the table; an entry that stays empty returns the library's own
"not initialised" code, which cudarc turns into an error that the program can handle.

Libraries are looked for in the folders of CUDA_LIB_DIRS (separated by colons), then where the loader looks (LD_LIBRARY_PATH,
ld.so.conf): libraries of one release, as pip installs them, must not meet those of another. The driver's library is also looked
for where containers and distributions put it outside the loader's path. A library of CUDA 13 is left alone where the driver is
older. TRAINER_CUDA_DISABLE, when set, opens none; TRAINER_CUDA_DEBUG, when set, reports the path of each on standard error.

usage: trampolines.py CUDARC_SOURCE_FOLDER OUTPUT_FOLDER LIBCUDART_STATIC
"""
import pathlib
import re
import subprocess
import sys

# Link name, module of cudarc, names of its functions, file names in order of preference, what a missing function returns.
LIBRARIES = [
    ("cuda", "driver", r"cu[A-Z]\w*", ["libcuda.so.1"], 100),  # CUDA_ERROR_NO_DEVICE
    ("cublasLt", "cublaslt", r"cublasLt\w*", ["libcublasLt.so.13", "libcublasLt.so.12"], 1),
    ("cublas", "cublas", r"cublas[A-Z]\w*", ["libcublas.so.13", "libcublas.so.12"], 1),
    ("curand", "curand", r"curand\w*", ["libcurand.so.10"], 203),  # CURAND_STATUS_INITIALIZATION_FAILED
    ("nvrtc", "nvrtc", r"nvrtc\w*", ["libnvrtc.so.13", "libnvrtc.so.12"], 11),
    ("cudnn", "cudnn", r"cudnn\w*", ["libcudnn.so.9"], 1001),  # CUDNN_STATUS_NOT_INITIALIZED
    ("nccl", "nccl", r"p?nccl\w*", ["libnccl.so.2"], 3),
]
# Functions that return text rather than a code.
TEXT = re.compile(r"(cublas|cublasLt|cudnn|nvrtc|nccl)Get(Error|Status)(String|Name)$|ncclGetLastError$")

LOADER = r"""
static const char *const driver_folders = "/usr/local/nvidia/lib64:/usr/lib/x86_64-linux-gnu:/usr/lib64:/usr/lib/wsl/lib";

static void *open_in(const char *folders, const char *name) {
    void *handle = 0;
    char path[4096];
    while (!handle && folders && *folders) {
        size_t length = strcspn(folders, ":");
        if (length && length + strlen(name) + 2 < sizeof path) {
            memcpy(path, folders, length);
            path[length] = '/';
            strcpy(path + length + 1, name);
            handle = dlopen(path, RTLD_LAZY | RTLD_GLOBAL);
        }
        folders += length;
        if (*folders) folders++;
    }
    return handle;
}

static void *open_library(const char *name, const char *more_folders) {
    void *handle = open_in(getenv("CUDA_LIB_DIRS"), name);
    if (!handle) handle = dlopen(name, RTLD_LAZY | RTLD_GLOBAL);
    if (!handle && more_folders) handle = open_in(more_folders, name);
    return handle;
}

static void report(const char *name, void *handle) {
    struct link_map *map = 0;
    const char *found = handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map) ? map->l_name : 0;
    const char *reason = found ? 0 : dlerror();
    fprintf(stderr, "%s: %s\n", name, found ? found : reason ? reason : "not looked for");
}

__attribute__((constructor)) static void trampolines_fill(void) {
    void *handles[NUM_LIBRARIES] = {0};
    int driver = 0;
    if (getenv("TRAINER_CUDA_DISABLE")) return;
    for (int library = 0; library < NUM_LIBRARIES; library++) {
        for (int i = 0; !handles[library] && files[library][i]; i++) {
            if (library > 0 && driver < 13000 && strstr(files[library][i], ".so.13")) continue;
            handles[library] = open_library(files[library][i], library > 0 ? 0 : driver_folders);
        }
        if (getenv("TRAINER_CUDA_DEBUG")) report(files[library][0], handles[library]);
        if (!handles[0]) return; /* no driver: nothing else could be used */
        if (library == 0) {
            int (*version)(int *) = (int (*)(int *))dlsym(handles[0], "cuDriverGetVersion");
            if (version) version(&driver);
        }
    }
    for (unsigned k = 0; k < NUM_FUNCTIONS; k++) {
        void *handle = handles[library_of[k]];
        void *function = handle ? dlsym(handle, names[k]) : 0;
        if (function) trampoline_table[k] = function;
    }
}
"""


def declared(source: pathlib.Path, module: str, pattern: str) -> list[str]:
    """Names of the foreign functions that a module of cudarc declares."""
    folder = source / module / "sys"
    files = folder.rglob("*.rs") if folder.is_dir() else [source / module / "sys.rs"]
    return sorted(set(re.findall(rf"\bfn ({pattern})\s*\(", "".join(f.read_text() for f in files))))


def write_if_changed(path: pathlib.Path, text: str) -> None:
    """Leaves an equal file alone, so that cargo links again only when something changed."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, output, cudart = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]).resolve()
    output.mkdir(parents=True, exist_ok=True)
    functions: dict[str, int] = {}
    for index, (_, module, pattern, _, _) in enumerate(LIBRARIES):
        for name in declared(source, module, pattern):
            functions.setdefault(name, index)
    if len(functions) < 1000:
        sys.exit(f"{source}: only {len(functions)} CUDA functions found; is this the source of cudarc 0.19?")

    c = ["#define _GNU_SOURCE", "#include <dlfcn.h>", "#include <link.h>", "#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>"]
    c += [f"enum {{ NUM_LIBRARIES = {len(LIBRARIES)}, NUM_FUNCTIONS = {len(functions)} }};"]
    c += [f"static long missing_{name}(void) {{ return {code}; }}" for name, _, _, _, code in LIBRARIES]
    c += ['static const char *missing_text(void) { return "the library could not be loaded"; }']
    entry = lambda name, index: "missing_text" if TEXT.match(name) else f"missing_{LIBRARIES[index][0]}"
    entries = ", ".join(f"(void *){entry(name, index)}" for name, index in functions.items())
    c += [f'__attribute__((visibility("hidden"))) void *trampoline_table[] = {{{entries}}};']
    c += ["static const char *const names[] = {" + ", ".join(f'"{name}"' for name in functions) + "};"]
    c += ["static const unsigned char library_of[] = {" + ", ".join(map(str, functions.values())) + "};"]
    rows = ["{" + ", ".join([*(f'"{file}"' for file in files), "0"]) + "}" for _, _, _, files, _ in LIBRARIES]
    c += ["static const char *const files[][4] = {" + ", ".join(rows) + "};", LOADER]
    for slot, name in enumerate(functions):
        jump = f".globl {name}\\n.type {name},@function\\n{name}: jmp *trampoline_table+{8 * slot}(%rip)"
        c.append(f'__asm__(".text\\n{jump}\\n");')
    code, built, archive = output / "trampolines.c", output / "trampolines.o", output / "libtrampolines.a"
    text = "\n".join(c) + "\n"
    if not archive.is_file() or not code.is_file() or code.read_text() != text:
        code.write_text(text)
        subprocess.check_call(["gcc", "-O1", "-fPIC", "-c", "-o", str(built), str(code)])
        archive.unlink(missing_ok=True)
        subprocess.check_call(["ar", "crs", str(archive), str(built)])
    for name, *_ in LIBRARIES:
        write_if_changed(output / f"lib{name}.so", f"INPUT({archive.resolve()})\n")
    write_if_changed(output / "libcudart.so", f"INPUT({cudart} -ldl -lrt -lpthread)\n")
    print(f"trampolines for {len(functions)} functions of {len(LIBRARIES)} CUDA libraries")


if __name__ == "__main__":
    main()
