//! Downloads from a server on the loopback device that behaves, and ones that do not.

mod server;

use super::{Options, Origin, download};
use crate::data::official::{OfficialFile, OfficialFiles};
use crate::error::Result;
use md5::{Digest, Md5};
use server::{Reply, Request, Server};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Some bytes that no other position repeats soon.
fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A data set of one file `f.gz` in these folders of the network, published with the length and MD5 of `content`.
fn dataset(content: &[u8], addresses: &[String]) -> OfficialFiles {
    let md5 = Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let addresses = addresses.iter().map(|address| leak(address.clone())).collect::<Vec<_>>().leak();
    let file = OfficialFile { name: "f.gz", bytes: content.len() as u64, md5: leak(md5) };
    let files = vec![file].leak();
    OfficialFiles { name: "set", terms: "none", addresses, files, others: &[], places: &[] }
}

fn options() -> Options {
    Options { retries: 2, first_pause: Duration::ZERO, quiet: true, ..Options::default() }
}

/// Downloads what `server` has into `data`.
fn get(server: &Server, data: &Path, options: &Options) -> Result<Origin> {
    let stored = download(&dataset(&content(), &[server.address("")]), data, options)?;
    assert_eq!(std::fs::read(&stored[0].path).unwrap(), content(), "the file is the published one");
    Ok(stored[0].origin)
}

/// Names in the folder of the data set.
fn names(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("set")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn final_path(data: &Path) -> PathBuf {
    data.join("set").join("f.gz")
}

/// An honest server of `content`, with ranges.
fn honest(request: &Request) -> Reply {
    Reply::ranged(request, &content(), "\"v1\"")
}

const FRESH: Origin = Origin::Fetched { resumed_at: 0 };

#[test]
fn a_file_is_fetched_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(honest);
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    assert_eq!(names(folder.path()), ["f.gz"]);
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), Origin::Kept);
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "the second call asks nobody");
    assert_eq!((requests[0].range, requests[0].header("accept-encoding")), (None, Some("identity")));
}

#[test]
fn a_cut_connection_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.range {
        None => honest(request).cut_after(200_000),
        Some(_) => honest(request),
    });
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let from = requests[1].range.expect("the second request asks for the rest");
    assert!(from > 0 && from <= 200_000, "{from}");
    assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_later_call_goes_on_where_an_earlier_one_gave_up() {
    let folder = tempfile::tempdir().unwrap();
    let broken = Server::start(|request| honest(request).cut_after(60_000));
    let error = get(&broken, folder.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("f.gz: ") && error.ends_with("(tried 3 times)"), "{error}");
    assert_eq!(broken.requests().len(), 3);
    assert_eq!(names(folder.path()), ["f.gz.partial", "f.gz.partial.json"]);
    let had = std::fs::metadata(folder.path().join("set/f.gz.partial")).unwrap().len();
    assert!(had > 60_000 && had <= 180_000, "each repetition adds to it: {had}");
    // Another address: its ETag may mean something else, so none is sent; the checksum of the whole decides.
    let server = Server::start(honest);
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), Origin::Fetched { resumed_at: had });
    let requests = server.requests();
    assert_eq!((requests[0].range, requests[0].header("if-range")), (Some(had), None));
    assert_eq!(names(folder.path()), ["f.gz"]);
}

#[test]
fn a_server_without_ranges_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let whole = Reply::whole(&content());
        if request.number == 0 { whole.cut_after(200_000) } else { whole }
    });
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    let requests = server.requests();
    assert!(requests.len() == 2 && requests[1].range.is_some(), "it was asked for a range");
}

#[test]
fn another_version_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.number {
        0 => Reply::ranged(request, &vec![7; content().len()], "\"v0\"").cut_after(100_000),
        _ => honest(request),
    });
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"v0\""));
    assert_eq!(server.requests().len(), 2, "If-Range spares a third request");
}

#[test]
fn pieces_of_two_versions_are_found_out_and_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    // A server that has no validators mixes two versions.
    let server = Server::start(|request| match request.number {
        0 => Reply::ranged(request, &vec![7; content().len()], "").cut_after(100_000),
        _ => Reply::ranged(request, &content(), ""),
    });
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    let ranges: Vec<_> = server.requests().iter().map(|request| request.range.is_some()).collect();
    assert_eq!(ranges, [false, true, false]);
    assert_eq!(server.requests()[1].header("if-range"), None);
}

#[test]
fn a_weak_tag_gives_way_to_the_date() {
    let folder = tempfile::tempdir().unwrap();
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let server = Server::start(move |request| {
        let reply = Reply::ranged(request, &content(), "W/\"v1\"").header("Last-Modified", date);
        if request.number == 0 { reply.cut_after(100_000) } else { reply }
    });
    get(&server, folder.path(), &options()).unwrap();
    assert_eq!(server.requests()[1].header("if-range"), Some(date));
}

#[test]
fn ranges_that_are_refused_or_wrong_are_begun_anew() {
    for wrong in [
        Reply::status(416),
        Reply::whole(b"x").with_status(206).header("Content-Range", "bytes 5-5/400000"),
        Reply::whole(b"x").with_status(206),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |request| match request.number {
            0 => honest(request).cut_after(100_000),
            1 => wrong.clone(),
            _ => honest(request),
        });
        assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
        let ranges: Vec<_> = server.requests().iter().map(|request| request.range.is_some()).collect();
        assert_eq!(ranges, [false, true, false]);
    }
}

#[test]
fn a_wrong_length_is_refused_before_it_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    for (reply, words) in [
        (Reply::whole(b"short"), "5 bytes where 400000 are published"),
        (Reply::whole(&[0; 400_001]), "400001 bytes where 400000 are published"),
        (Reply::whole(&[0; 400_001]).without_length(), "more than the 400000 published bytes"),
        (Reply::whole(&[]).without_length(), "the end after 0 of 400000 bytes"),
    ] {
        let server = Server::start(move |_| reply.clone());
        let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&server.address("f.gz")), "{error}");
        assert_eq!(names(folder.path()), [""; 0], "nothing is left: {error}");
    }
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = content();
    wrong[123_456] ^= 1;
    let server = Server::start(move |_| Reply::whole(&wrong));
    let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("MD5 ") && error.contains(" is published"), "{error}");
    assert_eq!(server.requests().len(), 1, "what came in one piece comes again the same");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_file_that_is_not_the_published_one_is_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(honest);
    std::fs::create_dir(folder.path().join("set")).unwrap();
    let path = final_path(folder.path());
    for mine in [b"mine".to_vec(), vec![1; content().len()]] {
        std::fs::write(&path, &mine).unwrap();
        let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains("--force"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), mine);
    }
    assert!(server.requests().is_empty());
    let force = Options { force: true, ..options() };
    assert_eq!(get(&server, folder.path(), &force).unwrap(), FRESH);
    // A replacement that fails leaves the old file.
    std::fs::write(&path, b"mine").unwrap();
    let broken = Server::start(|_| Reply::status(404));
    get(&broken, folder.path(), &force).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    assert_eq!(names(folder.path()), ["f.gz"]);
}

#[test]
fn a_status_decides_whether_to_try_again() {
    for (status, requests) in [(404, 1), (403, 1), (204, 1), (206, 1), (408, 3), (429, 3), (500, 3), (503, 3)]
    {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |_| Reply::status(status));
        let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
        assert!(error.contains(&format!("HTTP status {status}")), "{error}");
        assert_eq!(server.requests().len(), requests, "{status}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn the_next_address_is_tried_and_all_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, server) = (Server::start(|_| Reply::status(404)), Server::start(honest));
    let both = dataset(&content(), &[missing.address(""), server.address("")]);
    download(&both, folder.path(), &options()).unwrap();
    assert_eq!((missing.requests().len(), server.requests().len()), (1, 1));
    let neither = dataset(b"other", &[missing.address(""), server.address("")]);
    let other = tempfile::tempdir().unwrap();
    let error = download(&neither, other.path(), &options()).unwrap_err().to_string();
    assert!(error.contains(&missing.address("")) && error.contains(&server.address("")), "{error}");
    // A mirror takes the place of all of them.
    let mirror = Options { mirror: Some(server.address("sub/")), ..options() };
    download(&dataset(&content(), &[missing.address("")]), other.path(), &mirror).unwrap();
    assert_eq!(server.requests().last().unwrap().path, "/sub/f.gz");
    for bad in ["", "nonsense", "ftp://h/x", "http://", "http://h/x?y"] {
        let mirror = Options { mirror: Some(bad.into()), ..options() };
        let error = download(&both, folder.path(), &mirror).unwrap_err().to_string();
        assert_eq!(error, format!("mirror '{bad}' is not an address such as http://host/folder"));
    }
}

#[test]
fn redirections_are_followed_and_circles_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.path.as_str() {
        "/f.gz" => Reply::status(302).header("Location", "/elsewhere/f.gz"),
        _ => honest(request),
    });
    get(&server, folder.path(), &options()).unwrap();
    assert_eq!(server.requests().len(), 2);
    let circle = Server::start(|_| Reply::status(302).header("Location", "/f.gz"));
    let other = tempfile::tempdir().unwrap();
    assert!(get(&circle, other.path(), &options()).is_err());
    assert_eq!(names(other.path()), [""; 0]);
}

#[test]
fn a_silent_server_costs_its_patience_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.number {
        0 => honest(request).cut_after(100_000).silent_for(Duration::from_secs(20)),
        _ => honest(request),
    });
    let start = std::time::Instant::now();
    get(&server, folder.path(), &Options { patience: Duration::from_millis(300), ..options() }).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(server.requests()[1].range.is_some());
}

#[test]
fn an_unreachable_server_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let address = Server::start(honest).address(""); // Nobody listens any more.
    let error = download(&dataset(b"x", std::slice::from_ref(&address)), folder.path(), &options())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(&address) && error.lines().count() == 1, "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(honest);
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = get(&server, &file, &options()).unwrap_err().to_string();
    assert!(error.starts_with(file.to_str().unwrap()), "{error}");
    // A folder stands where the partial file would grow.
    std::fs::create_dir_all(folder.path().join("set/f.gz.partial")).unwrap();
    let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("f.gz.partial: "), "{error}");
    assert!(server.requests().is_empty(), "no byte is asked for that has no place");
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("set")).unwrap();
    let other = super::partial::Partial::open(&final_path(folder.path())).unwrap();
    let server = Server::start(honest);
    let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
    assert!(error.ends_with("f.gz.partial: another download is writing to it"), "{error}");
    drop(other);
    get(&server, folder.path(), &options()).unwrap();
}

/// Cuts that come after 64 KiB and more are no reason to give up, however many there are.
#[test]
fn progress_begins_the_count_of_repetitions_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| honest(request).cut_after(70_000));
    assert_eq!(get(&server, folder.path(), &options()).unwrap(), FRESH);
    let requests = server.requests().len();
    assert!(requests > 3, "{requests} attempts, of which two repetitions are allowed in a row");
}

#[test]
fn a_trickle_is_given_up_like_silence() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request.number {
        0 => honest(request).cut_after(100_000).trickle(Duration::from_millis(20)),
        _ => honest(request),
    });
    let patient = Options { patience: Duration::from_millis(400), ..options() };
    let start = std::time::Instant::now();
    get(&server, folder.path(), &patient).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(server.requests()[1].range.is_some());
    // Where there is nothing else, the message says why.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| honest(request).cut_after(0).trickle(Duration::from_millis(20)));
    let error = get(&server, folder.path(), &Options { retries: 0, ..patient }).unwrap_err().to_string();
    assert!(error.contains("only ") && error.contains(" bytes in 0.4 s, after "), "{error}");
}

/// Where the partial file or its note would grow, nothing else is written over or waited for.
#[cfg(unix)]
#[test]
fn links_and_pipes_are_neither_followed_nor_waited_for() {
    let server = Server::start(honest);
    let pipe =
        |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    for name in ["f.gz.partial", "f.gz.partial.json"] {
        let folder = tempfile::tempdir().unwrap();
        let (mine, set) = (folder.path().join("mine"), folder.path().join("set"));
        std::fs::write(&mine, "mine").unwrap();
        std::fs::create_dir(&set).unwrap();
        for target in [mine.clone(), folder.path().join("none")] {
            std::os::unix::fs::symlink(target, set.join(name)).unwrap();
            let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
            let words = format!("{name}: it is a link, where an unfinished download would grow; remove it");
            assert!(error.ends_with(&words), "{error}");
            std::fs::remove_file(set.join(name)).unwrap();
        }
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
        assert!(!folder.path().join("none").exists());
        pipe(&set.join(name));
        let error = get(&server, folder.path(), &options()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name}: it is no regular file")), "{error}");
    }
    // In the place of the file itself.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("set")).unwrap();
    pipe(&final_path(folder.path()));
    for force in [false, true] {
        let error = get(&server, folder.path(), &Options { force, ..options() }).unwrap_err().to_string();
        assert!(error.ends_with("f.gz: a named pipe, where a regular file is needed"), "{error}");
    }
    assert!(server.requests().is_empty());
}
