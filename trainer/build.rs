//! With the feature `cuda`: every `src/**/kernel.cu` becomes `OUT_DIR/NAME.ptx`, NAME being its folder. Without it: nothing.
//!
//! PTX of compute_80 is compiled by the driver for the GPU at hand when a kernel is first used, so one build serves every GPU from
//! Ampere on. nvcc is `$NVCC`, else `$CUDA_HOME/bin/nvcc`, else the one on the path.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
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

fn compile_kernels() -> Result<(), String> {
    for variable in ["NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let compiler = std::env::var_os("NVCC").map(PathBuf::from).unwrap_or_else(|| match std::env::var_os("CUDA_HOME") {
        Some(home) => Path::new(&home).join("bin/nvcc"),
        None => PathBuf::from("nvcc"),
    });
    let output = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let mut kernels = Vec::new();
    find_kernels(Path::new("src"), &mut kernels)?;
    for kernel in kernels {
        let name = kernel.parent().and_then(Path::file_name).ok_or("a kernel.cu lies outside a folder")?;
        let result = Command::new(&compiler)
            .args(["-ptx", "-arch=compute_80", "-O3", "-std=c++17", "-o"])
            .arg(output.join(name).with_extension("ptx"))
            .arg(&kernel)
            .output();
        let result = result.map_err(|e| {
            format!(
                "{}: {e}; the feature cuda needs nvcc of CUDA 13.0: run trainer/cuda/build.sh, or set NVCC or CUDA_HOME",
                compiler.display()
            )
        })?;
        if !result.status.success() {
            let text = String::from_utf8_lossy(&result.stderr).replace('\n', " | ");
            return Err(format!("{}: {} failed: {text}", kernel.display(), compiler.display()));
        }
    }
    Ok(())
}

/// Every `kernel.cu` below a folder; cargo watches these and the headers beside them.
fn find_kernels(folder: &Path, kernels: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_kernels(&path, kernels)?;
            continue;
        }
        let extension = path.extension().and_then(|e| e.to_str());
        if matches!(extension, Some("cu" | "cuh")) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        if path.file_name().is_some_and(|name| name == "kernel.cu") {
            kernels.push(path);
        }
    }
    Ok(())
}
