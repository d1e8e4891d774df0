//! The classes of samples, where they are needed.

use candle_core::{Device, Tensor};

/// The classes of a batch of samples.
///
/// A GPU looks at them where negatives of the anchor's class are left out or counted. It then reads them from its own
/// memory, where they are uploaded first unless they are there already.
#[derive(Debug, Clone, Copy)]
pub struct Classes<'a> {
    host: &'a [u32],
    on_device: Option<&'a Tensor>,
}

impl<'a> Classes<'a> {
    /// The same classes, which a GPU finds in its memory, u32 \[n\].
    #[must_use]
    pub fn with_copy_on_device(self, classes: &'a Tensor) -> Self {
        Self { on_device: Some(classes), ..self }
    }

    /// On the host.
    pub fn host(&self) -> &'a [u32] {
        self.host
    }

    /// On this device, u32 \[n\].
    ///
    /// # Errors
    /// No memory there.
    pub(super) fn on(&self, device: &Device) -> candle_core::Result<Tensor> {
        match self.on_device {
            Some(classes) => Ok(classes.clone()),
            None => Tensor::new(self.host, device),
        }
    }
}

impl<'a> From<&'a [u32]> for Classes<'a> {
    fn from(host: &'a [u32]) -> Self {
        Self { host, on_device: None }
    }
}

impl<'a> From<&'a Vec<u32>> for Classes<'a> {
    fn from(host: &'a Vec<u32>) -> Self {
        Self::from(&host[..])
    }
}

impl<'a, const N: usize> From<&'a [u32; N]> for Classes<'a> {
    fn from(host: &'a [u32; N]) -> Self {
        Self::from(&host[..])
    }
}
