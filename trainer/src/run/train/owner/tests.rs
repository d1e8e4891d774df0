//! One owner at a time: by locks, and by leases alone.

use super::*;

/// Another machine, whose waiting is short, and whose owners never write again, as processes that are suspended.
fn asleep(host: &str, locks: bool) -> Here {
    Here { beat: Duration::from_secs(60), ..machine(host, locks) }
}

/// Another machine, whose waiting is short.
fn machine(host: &str, locks: bool) -> Here {
    let [beat, lease] = [40, 400].map(Duration::from_millis);
    Here { host: host.into(), boot_id: "boot".into(), beat, lease, locks }
}

fn take(here: &Here, folder: &Path) -> Result<Owner> {
    Owner::take_as(here, folder, &|| false)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a process that was killed leaves: a lease, and no lock.
fn leave(here: &Here, folder: &Path) -> Lease {
    let owner = take(here, folder).unwrap();
    let lease = ownership(folder).unwrap().unwrap();
    drop(owner);
    std::fs::write(folder.join(OWNER), lease.to_bytes()).unwrap();
    lease
}

#[test]
fn one_owner_at_a_time_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    assert_eq!(ownership(folder).unwrap(), None);
    let owner = Owner::take(folder, &|| false).unwrap();
    owner.verify().unwrap();
    let lease = ownership(folder).unwrap().unwrap();
    assert_eq!(lease.pid, std::process::id());
    assert!(lease.is_alive(folder).unwrap());
    let Err(Error::Busy(message)) = Owner::take(folder, &|| false) else { panic!("it is in use") };
    let expected = format!("is in use by process {} on {}", lease.pid, lease.host);
    assert!(message.contains(&expected) && message.contains(folder.to_str().unwrap()), "{message}");
    owner.verify().unwrap();
    drop(owner);
    assert_eq!(names(folder), [LOCK], "the lock's file stays: another may have it open");
    assert!(!lease.is_alive(folder).unwrap());
    Owner::take(folder, &|| false).unwrap();
}

#[test]
fn a_dead_owner_of_this_boot_is_followed_at_once_and_others_are_watched() {
    let place = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|host| asleep(host, true));
    leave(&a, place.path());
    let start = Instant::now();
    take(&a, place.path()).unwrap();
    assert!(start.elapsed() < a.lease, "no need to watch");
    leave(&a, place.path());
    let start = Instant::now();
    let owner = take(&b, place.path()).unwrap();
    assert!(start.elapsed() >= b.lease);
    assert_eq!(names(place.path()), [LOCK, OWNER]);
    drop(owner);
    // Half a lease is of nobody who is known.
    std::fs::write(place.path().join(OWNER), "{\"host\":\"a").unwrap();
    assert_eq!(ownership(place.path()).unwrap(), None);
    let stopped = Owner::take_as(&b, place.path(), &|| true);
    assert!(matches!(stopped, Err(Error::Interrupted(_))));
    take(&b, place.path()).unwrap();
}

#[test]
fn leases_alone_keep_others_away_while_they_beat() {
    let place = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|host| machine(host, false));
    let owner = take(&a, place.path()).unwrap();
    for other in [&b, &a] {
        assert!(matches!(take(other, place.path()), Err(Error::Busy(_))));
        owner.verify().unwrap();
    }
    owner.report(3, 7, "loss 1.5");
    std::thread::sleep(a.beat * 5);
    let lease = ownership(place.path()).unwrap().unwrap();
    assert_eq!((lease.epoch, lease.epochs, lease.note.as_str()), (3, 7, "loss 1.5"));
    assert!(lease.beat > 2 && lease.is_alive(place.path()).unwrap());
    drop(owner);
    take(&b, place.path()).unwrap();
    assert!(names(place.path()).is_empty());
}

#[test]
fn who_comes_back_after_a_takeover_is_told_and_breaks_nothing() {
    let place = tempfile::tempdir().unwrap();
    let first = take(&asleep("a", false), place.path()).unwrap();
    let second = take(&machine("b", false), place.path()).unwrap();
    let Err(Error::Busy(message)) = first.verify() else { panic!("it lost the folder") };
    assert!(message.contains("another process took over") && message.contains(" on b"), "{message}");
    drop(first);
    second.verify().unwrap();
}

#[test]
fn a_lease_that_was_removed_or_moved_for_a_moment_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let owner = take(&asleep("a", false), place.path()).unwrap();
    std::fs::remove_file(place.path().join(OWNER)).unwrap();
    owner.verify().unwrap();
    // Somebody who watched another lease moves this one, sees what it is, and puts it back.
    let late = Lease { nonce: "late".into(), ..ownership(place.path()).unwrap().unwrap() };
    assert!(matches!(clear(place.path(), &late, b"what was watched"), Err(Error::Busy(_))));
    owner.verify().unwrap();
    assert_eq!(names(place.path()), [OWNER]);
}

#[test]
fn of_many_who_take_over_one_wins() {
    for locks in [true, false] {
        let place = tempfile::tempdir().unwrap();
        leave(&machine("dead", locks), place.path());
        let taken: Vec<Option<Owner>> = std::thread::scope(|scope| {
            let folder = place.path();
            let taker =
                |i: usize| scope.spawn(move || take(&machine(&format!("host-{i}"), locks), folder).ok());
            let running: Vec<_> = (0..8).map(taker).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let valid = taken.iter().flatten().filter(|owner| owner.verify().is_ok()).count();
        assert_eq!(valid, 1, "locks: {locks}");
    }
}
