//! Which device to compute on, and one clear line where it cannot be had.

use crate::error::{Error, Result};
use candle_core::Device;
use std::fmt;
use std::str::FromStr;

/// What `--device` asks for.
///
/// # Examples
/// ```
/// use trainer::device::DeviceChoice;
/// assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Cuda(1));
/// assert!("gpu".parse::<DeviceChoice>().is_err());
/// # Ok::<(), trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU where this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU, counted from 0, or an error.
    Cuda(usize),
}

/// A device, and what its user should know about it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The device.
    pub device: Device,
    /// Why it is not the one that was hoped for.
    pub warning: Option<String>,
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(
                || {
                    Error::argument(format!(
                        "device {text:?}: expected auto, cpu, cuda or cuda:INDEX (as cuda:1)"
                    ))
                },
            ),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// A GPU gets one stream of its own (the default stream cannot be captured into a CUDA graph), and none of the
    /// events by which cudarc orders several streams: they cost two calls of the driver for each operation. `Auto` in a
    /// build with CUDA that finds no usable GPU gives the CPU with a warning.
    ///
    /// # Errors
    /// [`Error::Argument`]: [`DeviceChoice::Cuda`] in a build without CUDA, or a GPU that cannot be used; one line that
    /// says what to do.
    pub fn open(self) -> Result<Opened> {
        match self {
            Self::Cpu => Ok(Opened { device: Device::Cpu, warning: None }),
            Self::Cuda(index) => {
                Ok(Opened { device: open_gpu(index).map_err(Error::Argument)?, warning: None })
            }
            Self::Auto if cfg!(not(feature = "cuda")) => Ok(Opened { device: Device::Cpu, warning: None }),
            Self::Auto => Ok(open_gpu(0).map_or_else(
                |reason| Opened {
                    device: Device::Cpu,
                    warning: Some(format!("computing on the CPU: {reason}")),
                },
                |device| Opened { device, warning: None },
            )),
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn open_gpu(_: usize) -> std::result::Result<Device, String> {
    Err("this build has no CUDA support; build it with trainer/cuda/build.sh, or use --device cpu".to_owned())
}

#[cfg(feature = "cuda")]
fn open_gpu(index: usize) -> std::result::Result<Device, String> {
    check_driver()?;
    let reason = |e: candle_core::Error| {
        explain(&e.to_string()).unwrap_or_else(|| format!("CUDA device {index}: {e}"))
    };
    let device = Device::new_cuda_with_stream(index).map_err(reason)?;
    if let Device::Cuda(cuda) = &device {
        let (major, minor) =
            cuda.cuda_stream().context().compute_capability().map_err(|e| format!("{e:?}"))?;
        if major < 8 {
            return Err(format!(
                "{} (it has {major}.{minor})",
                explain("CUDA_ERROR_NO_BINARY_FOR_GPU").unwrap_or_default()
            ));
        }
        // SAFETY: events order work between streams, and this device has only one stream for the life of the program:
        // whatever is allocated, used and freed is so in the order of that stream.
        #[allow(unsafe_code)] // the only way to turn them off
        unsafe {
            cuda.disable_event_tracking();
        }
        keep_freed_memory(cuda);
    }
    Ok(device)
}

/// Lets the driver's memory pool keep what is freed instead of giving it back at every synchronisation, so that the
/// next step's allocations cost nothing. Where it cannot be set, only speed is lost.
#[cfg(feature = "cuda")]
fn keep_freed_memory(device: &candle_core::CudaDevice) {
    use cudarc::driver::{result, sys};
    let mut threshold = u64::MAX;
    // SAFETY: the device is open; the attribute is an unsigned 64-bit number, read during the call.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let _ = unsafe {
        result::device::get_default_mem_pool(device.cuda_stream().context().cu_device()).and_then(|pool| {
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
        })
    };
}

/// Whether the device allocates in the order of its stream.
#[cfg(feature = "cuda")]
pub(crate) fn has_memory_pools(device: &candle_core::CudaDevice) -> bool {
    use cudarc::driver::{result, sys::CUdevice_attribute};
    let asked = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    // SAFETY: the device is open.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let found = unsafe { result::device::get_attribute(device.cuda_stream().context().cu_device(), asked) };
    found.is_ok_and(|value| value != 0)
}

/// Refuses a driver that is too old for the kernels of this build before anything is loaded into it.
#[cfg(feature = "cuda")]
fn check_driver() -> std::result::Result<(), String> {
    /// The CUDA version of the nvcc that trainer/cuda/build.sh installs, whose PTX older drivers refuse.
    const NEEDED: i32 = 13_000;
    let mut version = 0;
    // SAFETY: the function writes one int; it may be called before cuInit.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let status = unsafe { cudarc::driver::sys::cuDriverGetVersion(&mut version) };
    if status != cudarc::driver::sys::CUresult::CUDA_SUCCESS {
        return Err(explain("CUDA_ERROR_NO_DEVICE").unwrap_or_default());
    }
    if version < NEEDED {
        let have = format!("{}.{}", version / 1000, version % 1000 / 10);
        return Err(format!(
            "{} (it serves CUDA {have})",
            explain("CUDA_ERROR_UNSUPPORTED_PTX_VERSION").unwrap_or_default()
        ));
    }
    Ok(())
}

/// What an error text of the CUDA libraries means and what to do about it, in one line; `None` for one that needs no
/// explanation. Give it the text of any error that may stem from a GPU, at whatever depth.
///
/// # Examples
/// ```
/// let text = trainer::device::explain("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
/// assert!(text.is_some_and(|line| line.contains("smaller batch")));
/// ```
pub fn explain(error: &str) -> Option<String> {
    const KNOWN: [(&[&str], &str); 7] = [
        (
            &["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"],
            "the GPU is out of memory: use a smaller batch or a smaller model, or free the GPU (nvidia-smi shows who holds it)",
        ),
        (
            &["CUDA_ERROR_INVALID_DEVICE"],
            "no GPU has this index: `nvidia-smi -L` lists them, and CUDA_VISIBLE_DEVICES may hide some",
        ),
        (
            &["CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_NOT_INITIALIZED", "CUDA_ERROR_STUB_LIBRARY"],
            "no usable GPU: the driver's libcuda.so.1 is missing or sees no device (does nvidia-smi list one?); use --device cpu",
        ),
        (
            &[
                "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
                "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
                "CUDA_ERROR_INVALID_PTX",
            ],
            "the NVIDIA driver is older than this build, which needs one for CUDA 13.0 (580 or newer): update it, or use --device cpu",
        ),
        (
            &["CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_ERROR_INVALID_SOURCE"],
            "this GPU is older than this build supports (compute capability 8.0, Ampere): use --device cpu",
        ),
        (
            &["CUBLAS_STATUS_NOT_INITIALIZED"],
            "cuBLAS could not be loaded: put libcublas.so.13 and libcublasLt.so.13 on LD_LIBRARY_PATH or name their folder in CUDA_LIB_DIRS",
        ),
        (
            &["CURAND_STATUS_INITIALIZATION_FAILED", "CURAND_STATUS_NOT_INITIALIZED"],
            "cuRAND could not be loaded: put libcurand.so.10 on LD_LIBRARY_PATH or name its folder in CUDA_LIB_DIRS",
        ),
    ];
    KNOWN
        .iter()
        .find(|(names, _)| names.iter().any(|name| error.contains(name)))
        .map(|(_, line)| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_print_as_they_are_read() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for text in ["", "CUDA", "cuda:", "cuda:-1", "cuda:x", "gpu"] {
            let message = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")), "{message}");
        }
    }

    #[test]
    fn the_cpu_opens_without_a_word() {
        let opened = DeviceChoice::Cpu.open().unwrap();
        assert!(opened.device.is_cpu() && opened.warning.is_none());
    }

    /// On any machine: a GPU, or one line that names a way on; `auto` never fails.
    #[test]
    fn a_gpu_opens_or_says_in_one_line_what_to_do() {
        let automatic = DeviceChoice::Auto.open().unwrap();
        match DeviceChoice::Cuda(0).open() {
            Ok(opened) => assert!(opened.device.is_cuda() && automatic.device.is_cuda()),
            Err(e) => {
                let line = e.to_string();
                assert!(automatic.device.is_cpu());
                assert_eq!(automatic.warning.is_some(), cfg!(feature = "cuda"));
                assert!(!line.contains('\n') && line.contains("--device cpu"), "{line}");
                assert_eq!(line.contains("trainer/cuda/build.sh"), cfg!(not(feature = "cuda")), "{line}");
            }
        }
    }

    #[test]
    fn known_errors_are_explained_in_one_line() {
        for name in [
            "CUDA_ERROR_OUT_OF_MEMORY",
            "CUDA_ERROR_NO_DEVICE",
            "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            "CUBLAS_STATUS_NOT_INITIALIZED",
        ] {
            let line = explain(&format!("while loading: DriverError({name}, \"text\")")).unwrap();
            assert!(!line.contains('\n') && line.contains(':'), "{line}");
        }
        assert_eq!(explain("shape mismatch"), None);
    }
}
