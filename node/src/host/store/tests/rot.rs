//! Bits that change by themselves, and files that are cut.

use super::*;

const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// Bytes of redb's header.
const HEADER: usize = 320;

/// Whatever happens to the bytes: no panic, no vote log that passes as intact and is another, no
/// other ledger. True if the store opens.
fn assert_harmless(image: Vec<u8>, model: &Model, what: &str) -> bool {
    match Store::open(Medium::of(image), &ME, CACHE) {
        Ok((store, restored)) => {
            let found = Model::read(&store, &restored);
            assert_eq!(found.ledger, model.ledger, "{what}");
            if restored.intact {
                assert_eq!(found.binding(), model.clone().binding(), "{what}");
            }
            true
        }
        Err(StoreError::Damaged { .. }) => false,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Most of a file is empty: damage is aimed at where something is.
fn full_bytes(image: &[u8], from: usize) -> Vec<usize> {
    (from..image.len()).filter(|&at| image[at] != 0).collect()
}

/// One kind of damage: flipped bits, a header byte, a sector of zeros or of noise, a page that
/// holds another one.
fn damage(image: &mut [u8], full: &[usize], draw: &mut impl FnMut(usize) -> usize) {
    let somewhere = full[draw(full.len())];
    let sector = somewhere / SECTOR * SECTOR;
    let page = somewhere / PAGE * PAGE;
    match draw(6) {
        0 | 1 => (0..=draw(6)).for_each(|_| image[full[draw(full.len())]] ^= 1 << draw(8)),
        2 => image[draw(HEADER)] = draw(256) as u8,
        3 => image[sector..sector + SECTOR].fill(0),
        4 => image[sector..sector + SECTOR].iter_mut().for_each(|byte| *byte = draw(256) as u8),
        _ => image.copy_within(page..page + PAGE, full[draw(full.len())] / PAGE * PAGE),
    }
}

/// Every byte of the header, which is the only part that redb overwrites in place, and whatever
/// else can be wrong elsewhere, up to three times at once.
#[test]
fn damage_is_noticed_or_does_not_matter() {
    let mut outcomes = [0, 0];
    for seed in 0..4 {
        let (medium, model) = lived(seed, 40);
        if seed % 2 == 0 {
            drop(medium.open()); // opened, and killed before the first commit
        }
        let image = medium.bytes();
        let full = full_bytes(&image, 0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |n: usize| rng.next_u32() as usize % n;
        for i in 0..400 {
            let mut image = image.clone();
            match i {
                0..HEADER if seed < 2 => image[i] ^= 1 << draw(8),
                _ => (0..=draw(3)).for_each(|_| damage(&mut image, &full, &mut draw)),
            }
            let opened = assert_harmless(image, &model, &format!("seed {seed}, damage {i}"));
            outcomes[usize::from(opened)] += 1;
        }
    }
    let [refused, opened] = outcomes;
    assert!(refused > 200 && opened > 200, "{refused} refused, {opened} opened");
}

/// redb's repair takes the other commit slot without asking for that slot's own checksum, and in a
/// damaged slot "there are no tables" is one byte. Such a database is not an empty store.
#[test]
fn tables_that_are_gone_were_not_never_there() {
    let (medium, _) = lived(1, 40);
    let mut image = medium.bytes();
    let slot = |n: usize| 64 + 128 * n;
    let primary = usize::from(image[9] & 1);
    image[slot(1 - primary) + 1] = 0;
    let root = slot(primary) + 8;
    let root = u32::from_le_bytes(image[root..root + 4].try_into().unwrap()) & 0xf_ffff;
    image[PAGE * (1 + root as usize) + 100] ^= 1;
    let result = Store::open(Medium::of(image), &ME, CACHE);
    let Err(StoreError::Damaged { what }) = result else { panic!("{result:?}") };
    assert!(what.contains("whose it is"), "{what}");
}

/// The same while the store is open and reads its pages again and again: what is wrong is an
/// error, and going on loses nothing that was acknowledged.
#[test]
fn bits_that_flip_under_an_open_store_are_errors() {
    let mut errors = 0;
    for seed in 0..60 {
        let medium = Medium::created();
        let (mut store, _) = Store::open(medium.clone(), &ME, PAGE).unwrap();
        let (mut life, mut model) = (Life::new(seed), Model::default());
        let mut allowed = Vec::new();
        for round in 0..50 {
            let batch = life.batch();
            let before = model.clone();
            model.apply(&batch);
            allowed = vec![before, model.clone()];
            let committed = store.commit(&batch).is_ok();
            let load = |id: &BlockId| match store.load(Query::Block(*id)) {
                Ok(Stored::Block(Some(block))) => block.id() == *id,
                Ok(other) => panic!("seed {seed}: {other:?} for {id}"),
                Err(_) => false,
            };
            if !committed || !model.ledger.iter().all(load) {
                errors += 1;
                break;
            }
            allowed.remove(0);
            if round > 30 {
                medium.change(|bytes| {
                    let full = full_bytes(bytes, PAGE);
                    bytes[full[life.draw(full.len() as u64) as usize]] ^= 1 << life.draw(8);
                });
            }
        }
        drop(store);
        let Ok((store, restored)) = Store::open(medium, &ME, CACHE) else { continue };
        let found = Model::read(&store, &restored);
        let found = found.binding();
        assert!(restored.intact && allowed.into_iter().any(|model| model.binding() == found));
    }
    assert!(errors > 20, "{errors} of 60");
}

#[test]
fn a_file_that_was_cut_is_refused_or_empty() {
    let (medium, model) = lived(1, 80);
    let image = medium.bytes();
    let lengths = [1, 8, 9, 319, 320, 511, 4095, 4096, 8192, image.len() - 1];
    for length in lengths.into_iter().chain((0..image.len()).step_by(30_001).skip(1)) {
        let result = Store::open(Medium::of(image[..length].to_vec()), &ME, CACHE);
        assert!(matches!(result, Err(StoreError::Damaged { .. })), "{length}: {result:?}");
    }
    let mut long = image.clone();
    long.resize(image.len() + 10 * PAGE + 1, 0);
    assert_harmless(long, &model, "longer");
    // Nothing at all is a lost log (10.4), and stays one.
    let medium = Medium::default();
    for _ in 0..2 {
        let (store, restored) = medium.open();
        assert_eq!((restored.intact, store.report().log), (false, Some(LogFault::Unmarked)));
    }
    let foreign = Store::open(Medium::of(b"no database, but long enough".to_vec()), &ME, CACHE);
    assert!(matches!(foreign, Err(StoreError::Damaged { .. })), "{foreign:?}");
}
