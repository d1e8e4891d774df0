//! In a git repository: its commit becomes the variable `TRAINER_COMMIT` of the compiler.
//!
//! With the feature `cuda`: every `src/**/kernel.cu` becomes `OUT_DIR/NAME.ptx`, NAME being its folder.
//!
//! PTX of compute_80 is compiled by the driver for the GPU at hand when a kernel is first used, so one build serves
//! every GPU from Ampere on. nvcc is `$NVCC`, else `$CUDA_HOME/bin/nvcc`, else the one on the path.
//!
//! A PTX file is reused where no source is newer and NAME.stamp holds the same command line and the same version of
//! nvcc.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    name_commit();
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return ExitCode::SUCCESS;
    }
    match compile_kernels() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

/// Nothing where the workspace is no repository of its own, such as an unpacked archive, or where git is not there.
fn name_commit() {
    let git = |arguments: &[&str]| -> Option<String> {
        let found =
            Command::new("git").args(arguments).output().ok().filter(|found| found.status.success())?;
        Some(String::from_utf8(found.stdout).ok()?.trim().to_string())
    };
    let repository = Path::new("../.git");
    let commit = repository.exists().then(|| git(&["rev-parse", "HEAD"])).flatten();
    if let Some(commit) = commit {
        println!("cargo::rustc-env=TRAINER_COMMIT={commit}");
    }
    // The log of HEAD grows with every commit and checkout, and with nothing else.
    let log = repository.exists().then(|| git(&["rev-parse", "--git-path", "logs/HEAD"])).flatten();
    if let Some(log) = log.filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn compile_kernels() -> Result<(), String> {
    for variable in ["NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let compiler =
        std::env::var_os("NVCC").map(PathBuf::from).unwrap_or_else(|| match std::env::var_os("CUDA_HOME") {
            Some(home) => Path::new(&home).join("bin/nvcc"),
            None => PathBuf::from("nvcc"),
        });
    let output = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // A folder, since a new kernel must be seen too. Cargo then runs this after every edit, so what is up to date is
    // left alone.
    println!("cargo::rerun-if-changed=src");
    let mut sources = Vec::new();
    find_sources(Path::new("src"), &mut sources)?;
    let newest = sources.iter().filter_map(|source| modified(source)).max();
    // An update of the toolkit leaves the path of nvcc as it is.
    if compiler.is_absolute() {
        println!("cargo::rerun-if-changed={}", compiler.display());
    }
    let version = run(Command::new(&compiler).arg("--version"))?;
    for kernel in sources.iter().filter(|source| source.file_name().is_some_and(|name| name == "kernel.cu")) {
        let name = kernel.parent().and_then(Path::file_name).ok_or("a kernel.cu lies outside a folder")?;
        let target = output.join(name).with_extension("ptx");
        let stamp = target.with_extension("stamp");
        let text = std::fs::read_to_string(kernel).map_err(|e| format!("{}: {e}", kernel.display()))?;
        // A kernel may ask for more in its first line, as `// nvcc: -fmad=false` where the CPU's bits are promised.
        let more = text.lines().next().and_then(|line| line.strip_prefix("// nvcc:")).unwrap_or_default();
        let mut command = Command::new(&compiler);
        command.args(["-ptx", "-arch=compute_80", "-O3", "-std=c++17"]).args(more.split_whitespace());
        command.arg("-o").args([&target, kernel]);
        // `Debug` of a command is the whole line, quoted.
        let description = format!("{command:?}\n{version}");
        let same = std::fs::read_to_string(&stamp).is_ok_and(|text| text == description);
        if same && modified(&target) > newest {
            continue;
        }
        // Gone before the file that it describes changes: a build that is interrupted leaves none that lies.
        if stamp.exists() {
            std::fs::remove_file(&stamp).map_err(|e| format!("{}: {e}", stamp.display()))?;
        }
        run(&mut command).map_err(|message| format!("{}: {message}", kernel.display()))?;
        std::fs::write(&stamp, description).map_err(|e| format!("{}: {e}", stamp.display()))?;
    }
    Ok(())
}

/// What a command prints.
fn run(command: &mut Command) -> Result<String, String> {
    let result = command.output();
    let program = Path::new(command.get_program()).display();
    let result = result.map_err(|e| {
        format!(
            "{program}: {e}; the feature cuda needs nvcc: run trainer/cuda/build.sh, or set NVCC or CUDA_HOME"
        )
    })?;
    if !result.status.success() {
        let text = String::from_utf8_lossy(&result.stderr).replace('\n', " | ");
        return Err(format!("{program} failed: {text}"));
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}

/// Every `.cu` and `.cuh` below a folder.
fn find_sources(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for path in entries.filter_map(|entry| entry.ok().map(|e| e.path())) {
        if path.is_dir() {
            find_sources(&path, sources)?;
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("cu" | "cuh")) {
            sources.push(path);
        }
    }
    Ok(())
}
