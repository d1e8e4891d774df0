//! provisional
use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;
pub struct Metrics {
    file: std::fs::File,
    path: std::path::PathBuf,
}
impl Metrics {
    pub fn open(folder: &Path, _resume_at: Option<u64>) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        Ok(Self { file, path })
    }
    pub fn record(&mut self, step: u64, epoch: u64, values: &[(&str, f64)]) -> Result<()> {
        let mut line = serde_json::json!({ "step": step, "epoch": epoch });
        for (name, value) in values {
            line[*name] = (*value).into();
        }
        writeln!(self.file, "{line}").map_err(|e| Error::io(&self.path, e))
    }
    pub fn finish(self) -> Result<()> {
        Ok(())
    }
    pub fn last(path: &Path, key: &str) -> Result<f64> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let line = text.lines().last().unwrap_or_default();
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|e| Error::data(path, format!("last line: {e}")))?;
        value[key].as_f64().ok_or_else(|| Error::data(path, format!("the last line has no {key}")))
    }
}
