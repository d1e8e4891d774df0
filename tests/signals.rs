//! Signals to a process of its own, which re-executes this test binary: what stops in order, and what stops at once.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use theory::interrupt::{EXIT_CODE, Interrupt};

const CHILD: &str = "TEST_SIGNALS_CHILD";

/// The child's part: polls as a training loop does, says which signal came, and takes its time over the checkpoint if
/// the variable says `slow`; if it says `nothing to save`, it just takes its time.
#[test]
fn child() {
    let Ok(pace) = std::env::var(CHILD) else { return };
    let interrupt = Interrupt::install().unwrap();
    if pace == "nothing to save" {
        drop(interrupt.saving());
        say("ready");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let _saving = interrupt.saving();
    assert!(!interrupt.requested() && interrupt.signal().is_none());
    say("ready");
    let start = Instant::now();
    while !interrupt.requested() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    say(interrupt.signal().unwrap_or("nothing"));
    if pace == "slow" {
        std::thread::sleep(Duration::from_secs(60));
    }
    std::process::exit(EXIT_CODE.into());
}

/// Past the test harness, which keeps what `println!` says.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {text}").unwrap();
    out.flush().unwrap();
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the child and waits until its handlers are there.
    fn start(pace: &str) -> Self {
        Self::start_as(Command::new(std::env::current_exe().unwrap()), pace)
    }

    fn start_as(mut command: Command, pace: &str) -> Self {
        let mut child = command
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, pace)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, lines };
        assert_eq!(process.hears(), "ready");
        process
    }

    /// What the child says next.
    fn hears(&mut self) -> String {
        let mut said = self.lines.by_ref().map(Result::unwrap);
        said.find_map(|line| Some(line.split_once("child: ")?.1.to_string()))
            .expect("the child says something")
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

#[test]
fn each_signal_is_a_request_to_stop_in_order() {
    for (signal, name) in [("-INT", "SIGINT"), ("-TERM", "SIGTERM"), ("-HUP", "SIGHUP"), ("-USR1", "SIGUSR1")]
    {
        let mut process = Process::start("quick");
        process.send(signal);
        assert_eq!(process.hears(), name);
        assert_eq!(process.wait().code(), Some(75), "{signal}");
    }
}

#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    let start = Instant::now();
    let mut process = Process::start("slow");
    process.send("-INT");
    assert_eq!(process.hears(), "SIGINT");
    process.send("-INT");
    assert_eq!(process.wait().signal(), Some(2), "killed by SIGINT");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn other_signals_do_not_arm_the_second_interrupt() {
    let mut process = Process::start("slow");
    process.send("-USR1");
    assert_eq!(process.hears(), "SIGUSR1");
    // Slurm may repeat its warning, and a first SIGINT is still a request; what ends the process is the second.
    for signal in ["-USR1", "-TERM", "-TERM", "-INT"] {
        process.send(signal);
        std::thread::sleep(Duration::from_millis(50));
        assert!(process.child.try_wait().unwrap().is_none(), "{signal}");
    }
    process.send("-INT");
    assert_eq!(process.wait().signal(), Some(2));
}

#[test]
fn with_nothing_to_save_a_signal_ends_the_process_at_once() {
    for signal in ["-INT", "-TERM", "-HUP", "-USR1", "-USR2"] {
        let start = Instant::now();
        let process = Process::start("nothing to save");
        process.send(signal);
        assert_eq!(process.wait().code(), Some(75), "{signal}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_signal_that_the_process_was_told_to_ignore_stays_ignored() {
    let mut nohup = Command::new("nohup");
    nohup.arg(std::env::current_exe().unwrap());
    let mut process = Process::start_as(nohup, "nothing to save");
    process.send("-HUP");
    std::thread::sleep(Duration::from_millis(100));
    assert!(process.child.try_wait().unwrap().is_none());
    process.send("-TERM");
    assert_eq!(process.wait().code(), Some(75));
}

/// The last child writes a megabyte where the shell allows less.
#[test]
fn a_file_beyond_the_limit_of_the_shell_is_an_error() {
    if let Ok(path) = std::env::var("TEST_SIGNALS_FILE") {
        let _interrupt = Interrupt::install().unwrap();
        let error = theory::files::write_atomically(path.as_ref(), &vec![0; 1 << 20]).unwrap_err();
        say(&error.to_string());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    let name = "a_file_beyond_the_limit_of_the_shell_is_an_error";
    let test = std::env::current_exe().unwrap();
    let line = format!("ulimit -f 64; exec {} --exact {name} --nocapture", test.display());
    let output = Command::new("sh").args(["-c", &line]).env("TEST_SIGNALS_FILE", &file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("large: ") && said.contains("File too large"), "{said} {output:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}
