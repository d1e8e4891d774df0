//! What one shard has computed, as a file; and the files of all shards, merged.
//!
//! The file is one line of JSON: `{"sha256":…,"content":…}`, where the digest is that of the bytes of the content. Its
//! `kind` says which command wrote it, `request` what was asked for, `total` how many parts all shards together have,
//! and `parts` holds the finished ones, each with its number. A shard that lacks some was interrupted.

use super::Shard;
use crate::error::{Error, Place, Result};
use crate::files;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 32;

/// Before and after the digest, and at the end.
const FRAME: (&str, &str, &str) = ("{\"sha256\":\"", "\",\"content\":", "}\n");

/// What a shard has computed so far.
#[derive(Debug, Clone, PartialEq)]
pub struct File<P> {
    /// What the file is about.
    pub header: Header,
    /// Finished parts, by number.
    pub parts: BTreeMap<u64, P>,
}

/// What a file is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Which command wrote it.
    pub kind: String,
    /// What was asked for; every shard of a request has the same.
    pub request: Map<String, Value>,
    /// Which shard.
    pub shard: Shard,
    /// Parts of all shards together.
    pub total: u64,
}

#[derive(Serialize, Deserialize)]
struct Content<H, P> {
    #[serde(flatten)]
    header: H,
    parts: P,
}

impl Header {
    /// Number of parts that this shard is to compute.
    pub fn expected(&self) -> u64 {
        self.shard.number_in(0..self.total)
    }

    /// The header of a file whose content is undamaged.
    ///
    /// # Errors
    /// As for [`File::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path, MAX_BYTES)?;
        Ok(parse::<IgnoredAny>(path, &text)?.header)
    }

    /// Where two requests differ first, as `seed: 7 and 8`; `None` where they do not.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return Some(format!("command: {} and {}", self.kind, other.kind));
        }
        let keys = self.request.keys().chain(other.request.keys());
        let show = |header: &Self, key: &str| {
            header.request.get(key).map_or("nothing".into(), |value| shortened(&value.to_string()))
        };
        let mut differing = keys.filter(|key| self.request.get(*key) != other.request.get(*key));
        differing
            .next()
            .map(|key| format!("{key}: {} and {}", show(self, key), show(other, key)))
            .or_else(|| {
                (self.total != other.total).then(|| format!("parts: {} and {}", self.total, other.total))
            })
            .or_else(|| {
                let (own, others) = (self.shard.count(), other.shard.count());
                (own != others).then(|| format!("number of shards: {own} and {others}"))
            })
    }
}

/// A value as far as a message has room for it.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.into();
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}

impl<P: Serialize + DeserializeOwned> File<P> {
    /// Nothing computed yet.
    pub fn new(header: Header) -> Self {
        Self { header, parts: BTreeMap::new() }
    }

    /// Whether every part of the shard is there.
    pub fn is_complete(&self) -> bool {
        self.parts.len() as u64 == self.header.expected()
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let content = Content { header: &self.header, parts: &self.parts };
        let content = serde_json::to_string(&content)
            .map_err(|e| Error::argument(format!("{} cannot be written: {e}", path.display())))?;
        let (before, between, after) = FRAME;
        let text = format!("{before}{}{between}{content}{after}", files::sha256(content.as_bytes()));
        files::write_atomically(path, text.as_bytes())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Unreadable; not written by this program, or damaged since; parts that are not the shard's.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path, MAX_BYTES)?;
        let Content { header, parts } = parse::<BTreeMap<u64, P>>(path, &text)?;
        let (shard, total) = (header.shard, header.total);
        let foreign = parts.keys().find(|&&part| part >= total || part % shard.count() != shard.index());
        match foreign {
            Some(part) => Err(refusal(path, format!("part {part} of {total} is none of shard {shard}"))),
            None => Ok(Self { header, parts }),
        }
    }
}

fn refusal(path: &Path, message: impl Into<String>) -> Error {
    Error::data(Place { file: path.display().to_string(), ..Place::default() }, message)
}

fn parse<P: DeserializeOwned>(path: &Path, text: &str) -> Result<Content<Header, P>> {
    let (before, between, after) = FRAME;
    let framed = text.strip_prefix(before).and_then(|rest| rest.split_once(between));
    let Some((expected, content)) = framed else {
        return Err(refusal(path, "it is no file of a shard that theory wrote"));
    };
    let content = content.strip_suffix(after).filter(|content| files::sha256(content.as_bytes()) == expected);
    let Some(content) = content else {
        return Err(refusal(
            path,
            "the file is damaged: its content does not match its SHA-256; compute the shard again",
        ));
    };
    let content: Content<Header, P> = serde_json::from_str(content)
        .map_err(|e| refusal(path, format!("it is no shard of this version of theory: {e}")))?;
    // What was typed was checked, what was read was not.
    Shard::new(content.header.shard.index(), content.header.shard.count())
        .map_err(|e| refusal(path, e.to_string()))?;
    Ok(content)
}

/// The parts of all shards of one request, in order.
///
/// # Errors
/// A file that cannot be read; shards of different requests; one shard twice; missing or unfinished shards.
pub fn merge<P: Serialize + DeserializeOwned>(paths: &[PathBuf]) -> Result<(Header, BTreeMap<u64, P>)> {
    let mut shards: BTreeMap<u64, &Path> = BTreeMap::new();
    let (mut all, mut first) = (BTreeMap::new(), None);
    let mut unfinished = Vec::new();
    for path in paths {
        let file: File<P> = File::read(path)?;
        let (complete, expected) = (file.is_complete(), file.header.expected());
        let File { header, parts } = file;
        let (first_path, first_header) = first.get_or_insert((path, header.clone()));
        if let Some(difference) = header.difference(first_header) {
            let message = format!("not of the same request as {}: {difference}", first_path.display());
            return Err(refusal(path, message));
        }
        if let Some(other) = shards.insert(header.shard.index(), path) {
            return Err(refusal(path, format!("shard {} stands in {}, too", header.shard, other.display())));
        }
        if !complete {
            unfinished.push(format!("{} has {} of {expected} parts", path.display(), parts.len()));
        }
        all.extend(parts);
    }
    let Some((_, header)) = first else {
        return Err(Error::argument("there is no shard to merge"));
    };
    let missing: Vec<String> = (0..header.shard.count())
        .filter(|index| !shards.contains_key(index))
        .map(|index| format!("{index}/{}", header.shard.count()))
        .collect();
    if missing.is_empty() && unfinished.is_empty() {
        return Ok((header, all));
    }
    let mut message = Vec::new();
    if !missing.is_empty() {
        message.push(format!("missing: shard {}", listed(&missing)));
    }
    if !unfinished.is_empty() {
        message.push(format!("unfinished: {}; the command that wrote it does the rest", listed(&unfinished)));
    }
    Err(Error::data(
        Place { file: "the result is incomplete".into(), ..Place::default() },
        message.join("; "),
    ))
}

/// The first few of a list.
fn listed(items: &[String]) -> String {
    const MOST: usize = 20;
    let more = items.len().saturating_sub(MOST);
    let text = items[..items.len().min(MOST)].join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
