//! How the convolutions of a run on a GPU are computed, beside its checkpoint: another algorithm has other last bits.

use crate::error::Result;
use candle_core::Device;
use std::path::Path;

/// The file's name in a run's folder.
pub(super) const PLANS: &str = "plans.json";

#[cfg(feature = "cuda")]
mod kept {
    use super::*;
    use crate::device::cudnn::{self, PlanRecord};
    use crate::device::{gauge, warn};
    use crate::error::Error;
    use serde::{Deserialize, Serialize};

    /// What the file holds.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plans {
        device_name: String,
        cudnn_version: String,
        plans: Vec<PlanRecord>,
    }

    pub(in crate::run::train) fn save(path: &Path, device: &Device) -> Result<()> {
        let Device::Cuda(device) = device else { return Ok(()) };
        // None where cuDNN is missing or nothing was convolved; it is not opened for this.
        let plans = cudnn::records(device);
        if plans.is_empty() {
            return Ok(());
        }
        let Ok(cudnn_version) = cudnn::availability(device) else { return Ok(()) };
        let plans = Plans { device_name: gauge::name(device)?, cudnn_version, plans };
        let text = serde_json::to_string_pretty(&plans)
            .map_err(|e| Error::data(path, format!("cannot be written: {e}")))?;
        Ok(theory::files::write_atomically(path, format!("{text}\n").as_bytes())?)
    }

    pub(in crate::run::train) fn restore(path: &Path, device: &Device) -> Result<()> {
        let Device::Cuda(device) = device else { return Ok(()) };
        if !theory::files::exists(path)? {
            return Ok(());
        }
        let Ok(version) = cudnn::availability(device) else { return Ok(()) };
        let name = gauge::name(device)?;
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let before: Plans = serde_json::from_str(&text)
            .map_err(|e| Error::data(path, format!("is no list of plans of convolutions: {e}")))?;
        if (&before.device_name, &before.cudnn_version) != (&name, &version) {
            warn(&format!(
                "{} is of cuDNN {} on {}, and here is {version} on {name}: the last bits of what follows may differ",
                path.display(),
                before.cudnn_version,
                before.device_name,
            ));
            return Ok(());
        }
        cudnn::prefer(device, before.plans);
        Ok(())
    }
}

#[cfg(feature = "cuda")]
pub(super) use kept::{restore, save};

/// Writes how the convolutions of a GPU were computed.
///
/// # Errors
/// The operating system refuses.
#[cfg(not(feature = "cuda"))]
pub(super) fn save(_: &Path, _: &Device) -> Result<()> {
    Ok(())
}

/// Has a GPU compute convolutions as the file says, where there is one.
///
/// # Errors
/// A file that is none.
#[cfg(not(feature = "cuda"))]
pub(super) fn restore(_: &Path, _: &Device) -> Result<()> {
    Ok(())
}
