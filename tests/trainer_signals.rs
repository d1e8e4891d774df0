//! Signals to a process of its own, which re-executes this test binary: what stops in order, and what stops at once.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use trainer::run::interrupt::{EXIT_CODE, Interrupt};

const CHILD: &str = "TRAINER_TEST_SIGNALS_CHILD";

/// The child's part: polls as a training loop does, says which signal came, and takes its time over the checkpoint if
/// the variable says `slow`.
#[test]
fn child() {
    let Ok(pace) = std::env::var(CHILD) else { return };
    let interrupt = Interrupt::install().unwrap();
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
        let mut child = Command::new(std::env::current_exe().unwrap())
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
    for (signal, name) in [("-INT", "SIGINT"), ("-TERM", "SIGTERM"), ("-USR1", "SIGUSR1")] {
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
