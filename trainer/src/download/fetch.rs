//! One file over HTTP: GET, and after a cut `Range: bytes=N-` with `If-Range`, until all bytes are there and hash to
//! the MD5.
//!
//! | answer | what follows |
//! |---|---|
//! | 206 from byte N | its bytes are appended |
//! | 200 | all bytes come: the server ignores ranges, or has another version than the one begun |
//! | 206 from elsewhere, 416 | begun anew, without a range |
//! | 408, 429, 5xx, a cut, silent or trickling connection | tried again after a pause that doubles |
//! | other statuses, another length than the published one, an unknown host | the next address |

use super::meter::Meter;
use super::options::Options;
use super::partial::{Partial, Version};
use super::proxy;
use crate::data::official::OfficialFile;
use crate::error::{Error, Result};
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An attempt that brings fewer bytes within the patience is given up: at a byte a second the largest file would take
/// five years.
const LEAST_BYTES: u64 = 1 << 10;
/// An attempt that brings so many was no failure of the address: the repetitions are counted anew.
const LEAST_PROGRESS: u64 = 1 << 16;
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Why an attempt failed.
enum Failure {
    /// The same address may do next time.
    Passing(String),
    /// This address will not do.
    Lasting(String),
    /// No address will do.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// Fetches what `partial` lacks and verifies the whole.
pub(super) fn fetch(
    file: &OfficialFile,
    folders: &[&str],
    partial: &mut Partial,
    options: &Options,
    meter: &mut Meter,
) -> Result<()> {
    let mut failures: Vec<String> = Vec::new();
    for folder in folders {
        let address = &format!("{}/{}", folder.trim_end_matches('/'), file.name);
        if let Some(failure) = failures.last() {
            meter.line(&format!("{failure}; trying {address}"));
        }
        let agent = agent(address, options)?;
        let mut repetitions = 0;
        loop {
            let before = partial.received();
            let done = attempt(&agent, address, file, partial, options.patience, meter);
            let passing = match done.and_then(|()| verify(file, partial)) {
                Ok(()) => return Ok(()),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Lasting(message)) => {
                    failures.push(format!("{address}: {message}"));
                    break;
                }
                Err(Failure::Passing(message)) => message,
            };
            if partial.received() - before >= LEAST_PROGRESS {
                repetitions = 0;
            }
            if repetitions == options.retries {
                failures.push(format!("{address}: {passing} (tried {} times)", repetitions + 1));
                break;
            }
            let pause = options.first_pause.saturating_mul(1 << repetitions.min(16)).min(LONGEST_PAUSE);
            repetitions += 1;
            meter.line(&format!(
                "{address}: {passing}; trying again in {} s ({repetitions} of {})",
                pause.as_secs_f64(),
                options.retries
            ));
            std::thread::sleep(pause);
        }
    }
    Err(Error::Network(failures.join("; ")))
}

fn agent(address: &str, options: &Options) -> Result<Agent> {
    let proxy = proxy::choose(address, |name| std::env::var(name).ok())?;
    let config = Agent::config_builder()
        .proxy(proxy)
        .http_status_as_error(false)
        .accept_encoding("identity")
        .user_agent(concat!("trainer/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_PATIENCE.min(options.patience)))
        .timeout_recv_response(Some(options.patience))
        .timeout_per_read(Some(options.patience));
    Ok(config.build().new_agent())
}

/// Compares the complete file; a wrong one is emptied.
fn verify(file: &OfficialFile, partial: &mut Partial) -> std::result::Result<(), Failure> {
    let Some(difference) = partial.difference(file)? else { return Ok(()) };
    let in_one_piece = partial.in_one_piece();
    partial.restart(None)?;
    // Pieces may be of different versions, and then the whole may be right next time.
    Err(if in_one_piece { Failure::Lasting(difference) } else { Failure::Passing(difference) })
}

/// One request, or two if the first shows that the partial file cannot be continued.
fn attempt(
    agent: &Agent,
    address: &str,
    file: &OfficialFile,
    partial: &mut Partial,
    patience: Duration,
    meter: &mut Meter,
) -> std::result::Result<(), Failure> {
    if partial.length() > file.bytes {
        partial.restart(None)?;
    }
    if partial.length() == file.bytes {
        return Ok(());
    }
    let mut answer = request(agent, address, partial)?;
    if partial.length() > 0 && cannot_be_continued(&answer, partial.length()) {
        partial.restart(None)?;
        answer = request(agent, address, partial)?;
    }
    let offset = match answer.status().as_u16() {
        200 => 0,
        206 if partial.length() > 0 => partial.length(),
        status @ (408 | 429 | 500..) => return Err(Failure::Passing(format!("HTTP status {status}"))),
        status => return Err(Failure::Lasting(format!("HTTP status {status}"))),
    };
    if let Some(bytes) = announced(answer.headers(), offset).filter(|bytes| *bytes != file.bytes) {
        return Err(Failure::Lasting(format!("{bytes} bytes where {} are published", file.bytes)));
    }
    if offset == 0 {
        partial.restart(Some(version(address, answer.headers())))?;
    } else {
        partial.resume();
    }
    receive(answer, file, partial, patience, meter)
}

fn request(agent: &Agent, address: &str, partial: &Partial) -> std::result::Result<Response<Body>, Failure> {
    let mut request = agent.get(address);
    if partial.length() > 0 {
        request = request.header("Range", format!("bytes={}-", partial.length()));
        let version = partial.version().filter(|version| version.address == address);
        if let Some(validator) = version.and_then(|version| version.validator.as_deref()) {
            request = request.header("If-Range", validator);
        }
    }
    request.call().map_err(|error| {
        let message = error.to_string();
        match error {
            ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
                Failure::Passing(message)
            }
            // The other end hung up before or within the header.
            ureq::Error::Protocol(_) => Failure::Passing(message),
            _ => Failure::Lasting(message),
        }
    })
}

/// Whether the answer to a range shows that there is no such range to have.
fn cannot_be_continued(answer: &Response<Body>, offset: u64) -> bool {
    match answer.status().as_u16() {
        416 => true,
        206 => content_range(answer.headers()).is_none_or(|(start, _)| start != offset),
        _ => false,
    }
}

/// Length of the whole file as the server says it.
fn announced(headers: &HeaderMap, offset: u64) -> Option<u64> {
    if offset > 0 {
        return content_range(headers)?.1;
    }
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

/// First byte and length of the whole from `Content-Range: bytes START-END/WHOLE`; WHOLE may be `*`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get("content-range")?.to_str().ok()?;
    let (range, whole) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, whole.trim().parse().ok()))
}

/// What `If-Range` may name later: a strong ETag, else the date.
fn version(address: &str, headers: &HeaderMap) -> Version {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let validator = text("etag").filter(|tag| tag.starts_with('"')).or_else(|| text("last-modified"));
    Version { address: address.into(), validator: validator.map(String::from) }
}

fn receive(
    answer: Response<Body>,
    file: &OfficialFile,
    partial: &mut Partial,
    patience: Duration,
    meter: &mut Meter,
) -> std::result::Result<(), Failure> {
    let mut body = answer.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    let (mut since, mut then) = (Instant::now(), partial.received());
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Err(Failure::Passing(format!("{error} after {} bytes", partial.length()))),
        };
        if partial.length() + read as u64 > file.bytes {
            partial.restart(None)?;
            return Err(Failure::Lasting(format!("more than the {} published bytes", file.bytes)));
        }
        partial.append(&buffer[..read])?;
        meter.set(partial.length());
        if since.elapsed() >= patience {
            let bytes = partial.received() - then;
            if bytes < LEAST_BYTES && partial.length() < file.bytes {
                let (seconds, length) = (patience.as_secs_f64(), partial.length());
                return Err(Failure::Passing(format!(
                    "only {bytes} bytes in {seconds} s, after {length} bytes"
                )));
            }
            (since, then) = (Instant::now(), partial.received());
        }
    }
    if partial.length() < file.bytes {
        return Err(Failure::Passing(format!("the end after {} of {} bytes", partial.length(), file.bytes)));
    }
    Ok(())
}
