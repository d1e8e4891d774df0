//! A server of HTTP/1.1 on the loopback device, one connection a request, whose replies a test makes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// How many came before it.
    pub(super) number: usize,
    pub(super) path: String,
    /// N of `Range: bytes=N-`.
    pub(super) range: Option<u64>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What the client gets.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    length: bool,
    cut: Option<usize>,
    silence: Duration,
    trickle: Option<Duration>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::whole(b"") }
    }

    /// The whole body, whatever range was asked for.
    pub(super) fn whole(body: &[u8]) -> Self {
        let (headers, silence) = (Vec::new(), Duration::ZERO);
        Self { status: 200, headers, body: body.to_vec(), length: true, cut: None, silence, trickle: None }
    }

    /// The range that was asked for, unless `If-Range` names another tag; no tag is sent if it is empty.
    pub(super) fn ranged(request: &Request, body: &[u8], tag: &str) -> Self {
        let same = request.header("if-range").is_none_or(|wanted| wanted == tag || !wanted.contains('"'));
        let reply = match request.range.filter(|_| same) {
            None => Self::whole(body),
            Some(start) if start as usize >= body.len() => Self::status(416),
            Some(start) => Self::whole(&body[start as usize..])
                .with_status(206)
                .header("Content-Range", &format!("bytes {start}-{}/{}", body.len() - 1, body.len())),
        };
        if tag.is_empty() { reply } else { reply.header("ETag", tag) }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(super) fn without_length(self) -> Self {
        Self { length: false, ..self }
    }

    /// Hangs up after so many bytes of the body.
    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    /// Says nothing for a while before it hangs up.
    pub(super) fn silent_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Sends the rest of what is cut, a byte each time that this passes.
    pub(super) fn trickle(self, pause: Duration) -> Self {
        Self { trickle: Some(pause), ..self }
    }

    fn send(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.length {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())])?;
        stream.flush()?;
        if let Some(pause) = self.trickle {
            let rest = self.body[self.cut.unwrap_or(0)..].to_vec();
            // Until the client hangs up.
            std::thread::spawn(move || {
                rest.iter().try_for_each(|byte| {
                    std::thread::sleep(pause);
                    stream.write_all(&[*byte])
                })
            });
            return Ok(());
        }
        if !self.silence.is_zero() {
            let silence = self.silence;
            // Beside the accepting thread, which has more to do.
            std::thread::spawn(move || {
                std::thread::sleep(silence);
                drop(stream);
            });
        }
        Ok(())
    }
}

/// A server until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(reply: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let number = log.lock().unwrap().len();
                let Some(request) = read(&stream, number) else { continue };
                log.lock().unwrap().push(request.clone());
                // A client that hung up is what some tests are about.
                let _ = reply(&request).send(stream);
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    pub(super) fn address(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream, number: usize) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_string();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_string())))
        .collect::<Vec<_>>();
    let range = headers.iter().find(|(name, _)| name == "range");
    let range = range.and_then(|(_, value)| value.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    Some(Request { number, path, range, headers })
}
