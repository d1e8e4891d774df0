//! `trainer download` as its users meet it: what it refuses and how it says so; proxies that the environment names.

#![cfg(unix)]

use assert_cmd::Command;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

const VARIABLES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// Runs `trainer download ARGS --data FOLDER` in an environment of these proxies only.
fn run(args: &[&str], folder: &Path, proxies: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    for name in VARIABLES {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command
        .envs(proxies.iter().copied())
        .arg("download")
        .args(args)
        .arg("--data")
        .arg(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A listener that answers every request with `reply` and gives away the first line of each.
fn listen(reply: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head: Vec<_> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let _ = stream.write_all(reply.as_bytes());
            if send.send(head.first().cloned().unwrap_or_default()).is_err() {
                break;
            }
        }
    });
    (address, receive)
}

const MISSING: &str = "HTTP/1.1 404 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn bad_arguments_are_told_from_failures() {
    let folder = tempfile::tempdir().unwrap();
    let bad: [&[&str]; 4] = [
        &["imagenet"],
        &["mnist", "--retries", "-1"],
        &["mnist", "--mirror", "nonsense"],
        &["all", "--mirror", "http://h"],
    ];
    for args in bad {
        let (code, _, stderr) = run(args, folder.path(), &[]);
        assert_eq!(code, 2, "{args:?}: {stderr}");
    }
    let (code, _, stderr) = run(&["mnist"], folder.path(), &[("HTTPS_PROXY", "ftp://x:y@z")]);
    assert_eq!((code, stderr.contains("HTTPS_PROXY is not")), (2, true), "{stderr}");
    let (address, asked) = listen(MISSING);
    let mirror = format!("http://{address}/mnist/");
    let (code, stdout, stderr) = run(&["mnist", "-q", "--mirror", &mirror], folder.path(), &[]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(stderr, format!("error: {mirror}train-images-idx3-ubyte.gz: HTTP status 404\n"));
    assert_eq!(asked.recv().unwrap(), "GET /mnist/train-images-idx3-ubyte.gz HTTP/1.1");
    assert_eq!(std::fs::read_dir(folder.path().join("mnist")).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_not_the_published_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("ag-news")).unwrap();
    let file = folder.path().join("ag-news/train.csv");
    std::fs::write(&file, "mine").unwrap();
    let (code, _, stderr) = run(&["ag-news", "-q"], folder.path(), &[]);
    assert_eq!(code, 1);
    let words = "4 bytes where 29470338 are published: it is kept; remove it, or replace it with --force";
    assert_eq!(stderr, format!("error: {}: {words}\n", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn the_proxy_of_the_environment_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (address, asked) = listen("HTTP/1.1 403 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let http = ["mnist", "-q", "--retries", "0", "--mirror", "http://data.invalid/m"];
    let https = ["mnist", "-q", "--retries", "0", "--mirror", "https://data.invalid/m"];
    let cases: [(&[&str], &str, &str); 4] = [
        (&http, "HTTP_PROXY", "CONNECT data.invalid:80 HTTP/1.1"),
        (&http, "all_proxy", "CONNECT data.invalid:80 HTTP/1.1"),
        (&https, "https_proxy", "CONNECT data.invalid:443 HTTP/1.1"),
        (&https, "ALL_PROXY", "CONNECT data.invalid:443 HTTP/1.1"),
    ];
    for (args, variable, line) in cases {
        let (code, _, stderr) = run(args, folder.path(), &[(variable, &address)]);
        assert_eq!(code, 1, "{stderr}");
        assert_eq!(asked.recv().unwrap(), line, "{variable}");
    }
    // Neither a proxy for the other scheme nor one for another host is asked.
    for (args, proxies) in [
        (&http, vec![("HTTPS_PROXY", address.as_str())]),
        (&http, vec![("HTTP_PROXY", address.as_str()), ("NO_PROXY", "example.org, invalid")]),
    ] {
        assert_eq!(run(args, folder.path(), &proxies).0, 1);
        assert!(asked.try_recv().is_err(), "{proxies:?}");
    }
}
