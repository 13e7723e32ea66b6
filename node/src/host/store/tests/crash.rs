//! Power cuts: at any operation, any subset of the sectors that were not synced survives.

use super::*;
use std::ops::Range;

const SECTOR: usize = 512;

/// What a medium may hold if the power goes after `ops[..at]`, beginning with `start`.
///
/// Up to the last sync everything is there. Of each sector written later some version is there, the
/// last one or any before it; of the lengths set later, likewise.
fn crash_image(start: &[u8], ops: &[Op], at: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let synced = ops[..at].iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |i| i + 1);
    let mut image = start.to_vec();
    ops[..synced].iter().for_each(|op| apply(&mut image, op));
    let mut now = image.clone();
    let mut lengths = vec![now.len()];
    let mut sectors: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for op in &ops[synced..at] {
        apply(&mut now, op);
        match op {
            Op::Write(from, data) => {
                let from = usize::try_from(*from).unwrap();
                for sector in from / SECTOR..(from + data.len()).div_ceil(SECTOR) {
                    let end = now.len().min((sector + 1) * SECTOR);
                    sectors.entry(sector).or_default().push(now[sector * SECTOR..end].to_vec());
                }
            }
            Op::Resize(length) => lengths.push(usize::try_from(*length).unwrap()),
            Op::Sync => unreachable!("the last sync is before"),
        }
    }
    let mut draw = |n: usize| rng.next_u32() as usize % n;
    image.resize(lengths[draw(lengths.len())], 0);
    let all = draw(8) == 0; // sometimes everything but one sector made it
    let unlucky = draw(sectors.len().max(1));
    for (i, (sector, versions)) in sectors.into_iter().enumerate() {
        let version =
            if all { versions.len() - usize::from(i == unlucky) } else { draw(versions.len() + 1) };
        if let (Some(version), Some(place)) =
            (version.checked_sub(1), image.get_mut(sector * SECTOR..))
        {
            place.iter_mut().zip(&versions[version]).for_each(|(old, new)| *old = *new);
        }
    }
    image
}

/// The operations of a life, those of each batch, and the state after each batch.
struct Record {
    start: Vec<u8>,
    ops: Vec<Op>,
    batches: Vec<Range<usize>>,
    models: Vec<Model>,
}

fn record(seed: u64, batches: usize) -> Record {
    let medium = Medium::created();
    let start = medium.bytes();
    let (mut store, _) = medium.open();
    let (mut life, mut model) = (Life::new(seed), Model::default());
    let mut record =
        Record { start, ops: Vec::new(), batches: Vec::new(), models: vec![Model::default()] };
    for _ in 0..batches {
        let batch = life.batch();
        let before = medium.op_count();
        store.commit(&batch).unwrap();
        record.batches.push(before..medium.op_count());
        model.apply(&batch);
        record.models.push(model.clone());
    }
    record.ops = medium.ops();
    record
}

/// Every acknowledged commit is there, the one under way is there or not, and none is half there;
/// also if the power goes again while the store is being opened, and again after that.
#[test]
fn acknowledged_commits_survive_power_cuts() {
    let (mut whole, mut with_next) = (0, 0);
    for seed in 0..6 {
        let record = record(seed, 60);
        let mut rng = ChaCha8Rng::seed_from_u64(seed + 100);
        for _ in 0..80 {
            let at = rng.next_u32() as usize % (record.ops.len() + 1);
            let image = crash_image(&record.start, &record.ops, at, &mut rng);
            let acknowledged = record.batches.iter().filter(|range| range.end <= at).count();
            let allowed = |found: &Model| {
                let after = |n: usize| record.models.get(n).map(Model::restorable);
                let position = (0..2).find(|i| after(acknowledged + i).as_ref() == Some(found));
                position.unwrap_or_else(|| panic!("seed {seed}, crash at {at}: {found:?}"))
            };
            // The power goes once more, while the store is being opened.
            let medium = Medium::of(image.clone());
            drop(medium.open());
            let ops = medium.ops();
            let at = rng.next_u32() as usize % (ops.len() + 1);
            let medium = Medium::of(crash_image(&image, &ops, at, &mut rng));
            let image = medium.bytes();
            let (mut store, restored) = medium.open();
            assert!(restored.intact);
            let found = Model::read(&store, &restored);
            match allowed(&found) {
                0 => whole += 1,
                _ => with_next += 1,
            }
            // What was found once is acknowledged by being found.
            store.next_boot(5).unwrap();
            drop(store);
            let ops = medium.ops();
            let image = crash_image(&image, &ops, ops.len(), &mut rng);
            let (store, restored) = Medium::of(image).open();
            assert_eq!(Model::read(&store, &restored), found);
        }
    }
    assert!(whole > 50 && with_next > 50, "{whole} without and {with_next} with the last commit");
}

/// Creation and the first opening of an unmarked store can be interrupted anywhere: afterwards
/// there is a marked store, or an unmarked one, or one that can still be created.
#[test]
fn an_interrupted_beginning_can_be_repeated() {
    for marked in [true, false] {
        let begun = Medium::default();
        match marked {
            true => Store::create(begun.clone(), &ME, CACHE).unwrap(),
            false => drop(begun.open()),
        }
        let ops = begun.ops();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for at in 0..=ops.len() {
            for _ in 0..4 {
                let medium = Medium::of(crash_image(&[], &ops, at, &mut rng));
                let (mut store, restored) = medium.open();
                assert!(!restored.intact || marked);
                assert!(restored.intact || !marked || at < ops.len());
                store.commit(&[vote(1, VoteKind::Skip)]).unwrap();
                drop(store);
                assert_eq!(medium.open().1.votes.len(), 1);
            }
        }
    }
}
