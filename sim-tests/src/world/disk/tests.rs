//! The disk on its own, against a model: lists of whole files.

use super::*;
use proptest::prelude::*;
use redb::StorageBackend;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const SYNC: u64 = 1_000;

/// A disk with a process on it, and the time.
struct Bench {
    disk: Arc<Mutex<Disk>>,
    now_ns: Arc<AtomicU64>,
    file: Handle,
    incarnation: u32,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let config = DiskConfig { sync_ns: SYNC, ..DiskConfig::default() };
        let disk = Arc::new(Mutex::new(Disk::new(seed, 3, config)));
        let now_ns = Arc::new(AtomicU64::new(0));
        let file = Handle::new(Arc::clone(&disk), Arc::clone(&now_ns), 1);
        disk.lock().unwrap().attach(1);
        Bench { disk, now_ns, file, incarnation: 1 }
    }

    fn config(&self, change: impl FnOnce(&mut DiskConfig)) {
        change(self.disk.lock().unwrap().config_mut());
    }

    fn now(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    fn pass(&self, ns: u64) {
        self.now_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Crashes, restarts, and returns what is in the file.
    fn crash(&mut self, mode: CrashMode) -> Vec<u8> {
        let mut disk = self.disk.lock().unwrap();
        disk.crash(self.now(), mode);
        self.incarnation += 1;
        disk.attach(self.incarnation);
        drop(disk);
        let (disk, now) = (Arc::clone(&self.disk), Arc::clone(&self.now_ns));
        self.file = Handle::new(disk, now, self.incarnation);
        self.contents()
    }

    fn contents(&self) -> Vec<u8> {
        let mut bytes = vec![0xEE; self.file.len().unwrap() as usize];
        self.file.read(0, &mut bytes).unwrap();
        bytes
    }

    fn flushed_at(&self) -> Result<u64, Fault> {
        self.disk.lock().unwrap().flushed_at()
    }
}

#[test]
fn what_is_durable_when() {
    let mut bench = Bench::new(1);
    bench.file.write(0, b"one").unwrap();
    bench.file.sync_data().unwrap();
    bench.pass(10);
    bench.file.write(0, b"two").unwrap();
    bench.file.sync_data().unwrap();
    assert_eq!(bench.flushed_at(), Ok(2 * SYNC), "the second sync waits for the first");
    assert_eq!(bench.contents(), b"two", "a process reads what it wrote");
    bench.pass(SYNC - 10);
    assert_eq!(bench.crash(CrashMode::Lose), b"one", "the first has just arrived");
    bench.file.write(0, b"six").unwrap();
    bench.file.sync_data().unwrap();
    assert_eq!(bench.flushed_at(), Ok(2 * SYNC), "a crash ends the old queue");
    bench.file.write(3, b"teen").unwrap();
    assert_eq!(bench.crash(CrashMode::Keep), b"sixteen");
    bench.file.set_len(2).unwrap();
    assert_eq!(bench.contents(), b"si");
    assert_eq!(bench.crash(CrashMode::Lose), b"sixteen", "what a crash kept is durable");
}

#[test]
fn slow_syncs_and_jitter() {
    let bench = Bench::new(1);
    bench.config(|config| config.sync_ns = 5 * SYNC);
    bench.file.sync_data().unwrap();
    assert_eq!(bench.flushed_at(), Ok(5 * SYNC), "an empty sync takes its time too");
    bench.config(|config| config.sync_jitter_ppm = 1_000_000);
    let mut last = 5 * SYNC;
    let mut all = Vec::new();
    for _ in 0..200 {
        bench.file.sync_data().unwrap();
        let at = bench.flushed_at().unwrap();
        all.push(at - last);
        last = at;
    }
    assert!(all.iter().all(|took| (5 * SYNC..10 * SYNC).contains(took)), "{all:?}");
    assert!(all.iter().any(|took| *took < 6 * SYNC) && all.iter().any(|took| *took > 9 * SYNC));
}

#[test]
fn stalls_are_rare_and_long() {
    let bench = Bench::new(1);
    bench.config(|config| (config.stall_ppb, config.stall_ns) = (100_000_000, 50 * SYNC));
    let took: Vec<u64> = (0..500)
        .map(|_| {
            let before = bench.flushed_at().unwrap();
            bench.file.sync_data().unwrap();
            bench.flushed_at().unwrap() - before
        })
        .collect();
    let stalls = took.iter().filter(|took| **took == 51 * SYNC).count();
    assert_eq!(took.iter().filter(|took| **took == SYNC).count(), 500 - stalls);
    assert!((25..80).contains(&stalls), "{stalls} of 500");
}

#[test]
fn a_full_disk_takes_what_does_not_grow() {
    let bench = Bench::new(1);
    bench.file.write(0, b"full").unwrap();
    bench.disk.lock().unwrap().fill();
    bench.file.write(0, b"FULL").unwrap();
    assert_eq!(bench.file.write(4, b"!").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(bench.contents(), b"FULL");
}

#[test]
fn faults_say_what_they_are_and_change_nothing() {
    let mut bench = Bench::new(1);
    bench.file.write(0, b"good").unwrap();
    bench.config(|config| config.write_fault = Some(Fault::Io));
    assert_eq!(bench.file.write(0, b"evil").unwrap_err().kind(), ErrorKind::Other);
    assert!(bench.file.set_len(1).is_err());
    bench.config(|config| {
        config.write_fault = None;
        config.capacity_bytes = 6;
    });
    assert_eq!(bench.file.write(3, b"long").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(bench.file.set_len(7).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(bench.contents(), b"good");
    bench.config(|config| config.sync_fault = Some(Fault::Io));
    assert!(bench.file.sync_data().is_err());
    assert_eq!(bench.flushed_at(), Err(Fault::Io));
    bench.config(|config| config.sync_fault = None);
    bench.file.sync_data().unwrap();
    assert_eq!(bench.flushed_at(), Ok(SYNC), "a later sync makes up for it");
    bench.config(|config| config.sync_fault = Some(Fault::Io));
    bench.file.write(0, b"evil").unwrap();
    assert!(bench.file.sync_data().is_err());
    bench.pass(9 * SYNC);
    assert_eq!(bench.crash(CrashMode::Lose), b"good", "a failed sync made nothing durable");
    assert_eq!(bench.flushed_at(), Ok(9 * SYNC), "a restart forgets the error");
}

#[test]
fn a_dead_process_has_no_file() {
    let mut bench = Bench::new(1);
    let old = bench.file.clone();
    bench.crash(CrashMode::Keep);
    assert!(old.write(0, b"ghost").is_err() && old.sync_data().is_err());
    assert!(old.len().is_err() && old.set_len(9).is_err() && old.read(0, &mut []).is_err());
    assert_eq!(bench.contents(), b"");
    let past_the_end = bench.file.read(0, &mut [0]).unwrap_err();
    assert_eq!(past_the_end.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn rot_and_loss() {
    let mut bench = Bench::new(1);
    bench.file.write(0, &[0; 10_000]).unwrap();
    bench.file.sync_data().unwrap();
    bench.pass(SYNC);
    {
        let mut disk = bench.disk.lock().unwrap();
        disk.settle(bench.now());
        disk.rot(7);
    }
    assert_eq!(bench.contents(), [0; 10_000], "the page cache hides it");
    let rotten = bench.crash(CrashMode::Lose);
    let ones: u32 = rotten.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(ones, 7);
    let mut disk = bench.disk.lock().unwrap();
    disk.crash(bench.now(), CrashMode::Keep);
    disk.rot(1);
    assert!(disk.view.read(0, &mut [0; 10_000]), "while the node is down there is no cache");
    disk.lose();
    assert_eq!((disk.view.len(), disk.medium.len()), (0, 0));
}

#[test]
fn an_image_shares_its_pages() {
    let bench = Bench::new(1);
    bench.file.set_len(1 << 30).unwrap();
    bench.file.write(5_000, &[1; 100]).unwrap();
    bench.file.sync_data().unwrap();
    bench.pass(SYNC);
    let mut disk = bench.disk.lock().unwrap();
    disk.settle(bench.now());
    let (view, medium) = (disk.view.page(1).unwrap(), disk.medium.page(1).unwrap());
    assert!(Arc::ptr_eq(&view, &medium));
    assert!(disk.medium.page(0).is_none(), "holes stay holes");
}

/// What a test does to a file.
#[derive(Clone, Debug)]
enum Step {
    Write { at: u64, len: usize, byte: u8 },
    SetLen(u64),
    Sync,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..20_000u64, 1..6_000usize, 1..255u8)
            .prop_map(|(at, len, byte)| Step::Write { at, len, byte }),
        1 => (0..24_000u64).prop_map(Step::SetLen),
        3 => Just(Step::Sync),
        2 => (1..3 * SYNC).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Whole files: the current one, and each synced one with the time at which it is durable.
struct Model {
    file: Vec<u8>,
    synced: Vec<(u64, Vec<u8>)>,
}

fn play(bench: &Bench, steps: &[Step]) -> Model {
    let mut model = Model { file: Vec::new(), synced: vec![(0, Vec::new())] };
    for step in steps {
        match *step {
            Step::Write { at, len, byte } => {
                bench.file.write(at, &vec![byte; len]).unwrap();
                let end = at as usize + len;
                model.file.resize(model.file.len().max(end), 0);
                model.file[at as usize..end].fill(byte);
            }
            Step::SetLen(len) => {
                bench.file.set_len(len).unwrap();
                model.file.resize(len as usize, 0);
            }
            Step::Sync => {
                bench.file.sync_data().unwrap();
                let last = model.synced.last().expect("never empty").0;
                model.synced.push((last.max(bench.now()) + SYNC, model.file.clone()));
            }
            Step::Pass(ns) => bench.pass(ns),
        }
    }
    model
}

proptest! {
    #[test]
    fn reads_and_kind_crashes_match_the_model(steps in steps()) {
        let mut bench = Bench::new(1);
        let model = play(&bench, &steps);
        prop_assert_eq!(&bench.contents(), &model.file);
        prop_assert_eq!(&bench.crash(CrashMode::Keep), &model.file);
        let mut bench = Bench::new(1);
        let model = play(&bench, &steps);
        let durable = model.synced.iter().rfind(|(at, _)| *at <= bench.now()).expect("the first");
        prop_assert_eq!(&bench.crash(CrashMode::Lose), &durable.1);
    }

    /// A torn file lies between two neighbouring synced states: each sector is old or new, one may
    /// be both, and what was durable is never gone.
    #[test]
    fn a_torn_file_is_between_two_states(steps in steps(), seed: u64) {
        let mut bench = Bench::new(seed);
        let model = play(&bench, &steps);
        let now = bench.now();
        let torn = bench.crash(CrashMode::Tear);
        let durable = model.synced.iter().rposition(|(at, _)| *at <= now).expect("the first");
        let mut states: Vec<&Vec<u8>> = model.synced[durable..].iter().map(|(_, f)| f).collect();
        states.push(&model.file);
        let between = |old: &Vec<u8>, new: &Vec<u8>| {
            if torn.len() != old.len() && torn.len() != new.len() {
                return false;
            }
            // Bytes beyond an end count as zeros: the change of length survives on its own.
            let byte = |file: &Vec<u8>, i: usize| file.get(i).copied().unwrap_or(0);
            let is = |file: &Vec<u8>, range: std::ops::Range<usize>| {
                range.into_iter().all(|i| torn[i] == byte(file, i))
            };
            // A cut in between leaves zeros where neither state has them.
            let stale = |range: std::ops::Range<usize>| {
                range.into_iter().all(|i| torn[i] == byte(old, i) || torn[i] == 0)
            };
            let mut both = 0;
            for start in (0..torn.len()).step_by(SECTOR) {
                let range = start..(start + SECTOR).min(torn.len());
                if is(new, range.clone()) || stale(range.clone()) {
                    continue;
                }
                both += 1;
                let split = range
                    .clone()
                    .find(|cut| is(new, range.start..*cut) && stale(*cut..range.end));
                if split.is_none() {
                    return false;
                }
            }
            both <= 1
        };
        let fits = states.windows(2).any(|pair| between(pair[0], pair[1]));
        prop_assert!(fits || torn == *states[0] || torn == model.file);
    }
}

#[test]
fn tears_explore_subsets() {
    let (mut kept, mut torn, mut lost) = (0, 0, 0);
    for seed in 0..200 {
        let mut bench = Bench::new(seed);
        bench.file.write(0, &[1; 8 * SECTOR]).unwrap();
        bench.file.sync_data().unwrap();
        bench.pass(SYNC);
        bench.file.write(0, &[2; 8 * SECTOR]).unwrap();
        let file = bench.crash(CrashMode::Tear);
        for sector in file.chunks(SECTOR) {
            match (sector.contains(&1), sector.contains(&2)) {
                (false, true) => kept += 1,
                (true, false) => lost += 1,
                _ => torn += 1,
            }
        }
    }
    assert!(kept > 400 && lost > 400, "{kept} kept, {lost} lost");
    assert!(
        (150..=200).contains(&torn),
        "one torn sector each, unless it tore at its edge: {torn}"
    );
}

/// Of a file that is put there, pages of zeros are holes, and it reads as it is, also after rot.
#[test]
fn an_installed_file_reads_as_it_is() {
    let mut bytes = vec![0; 5 * PAGE + 700];
    (bytes[PAGE + 9], bytes[5 * PAGE + 3]) = (1, 2);
    let mut disk = Disk::new(1, 0, DiskConfig::default());
    disk.install(&bytes);
    assert_eq!(disk.image(), bytes);
    let holes = (0..6).filter(|page| disk.view.page(*page).is_none());
    assert_eq!(holes.collect::<Vec<_>>(), [0, 2, 3, 4]);
    disk.rot(5);
    let flipped = |(new, old): (&u8, &u8)| (new ^ old).count_ones();
    assert_eq!(disk.image().iter().zip(&bytes).map(flipped).sum::<u32>(), 5);
}

/// A page that is written as a whole takes nothing away from whoever shares the old one.
#[test]
fn a_whole_page_is_replaced_and_not_shared() {
    let mut image = Image::new(&[7; 2 * PAGE]);
    let before = image.clone();
    image.write(0, &[8; PAGE], |page, mask| assert_eq!((page, mask), (0, 0xFF)));
    image.write(0, &[9; PAGE], |_, _| ());
    image.write(PAGE as u64 + 1, &[9; 2], |_, _| ());
    let read = |image: &Image| {
        let mut bytes = vec![0; 2 * PAGE];
        assert!(image.read(0, &mut bytes));
        bytes
    };
    assert_eq!(read(&before), [7; 2 * PAGE]);
    let mut expected = vec![9; PAGE];
    expected.resize(2 * PAGE, 7);
    expected[PAGE + 1..PAGE + 3].fill(9);
    assert_eq!(read(&image), expected);
}
