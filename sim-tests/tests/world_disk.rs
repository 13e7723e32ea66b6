//! A real database on a simulated disk: every commit that the disk acknowledged is there after a
//! crash, and none is there by half.

#[path = "common/datagrams.rs"]
mod common;

use common::{Datagram, MS, calm};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use sim_tests::testing::in_child;
use sim_tests::world::disk::{CrashMode, Fault};
use sim_tests::world::rng::Draws;
use sim_tests::world::{Arrival, Port, World, run};
use std::sync::{Arc, Mutex};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("commits");
/// Rows of each commit: all of them or none must be there.
const ROWS: u64 = 7;

/// What the harness knows about the commits of the one node.
#[derive(Default)]
struct Ledger {
    /// Commits that returned.
    issued: u64,
    /// Commits that were acknowledged as durable.
    acknowledged: u64,
    /// What the latest start found: complete commits, or the reason why the file did not open.
    found: Option<Result<u64, String>>,
}

fn open(port: &Port<Datagram>) -> Result<Database, String> {
    Builder::new()
        .set_cache_size(1 << 20)
        .create_with_backend(port.disk())
        .map_err(|error| error.to_string())
}

/// Counts the commits in the file and checks that each is whole.
fn audit(database: &Database) -> Result<u64, String> {
    let transaction = database.begin_read().map_err(|error| error.to_string())?;
    let table = match transaction.open_table(TABLE) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(0),
        Err(error) => return Err(error.to_string()),
    };
    let mut rows = 0;
    for row in table.iter().map_err(|error| error.to_string())? {
        let (key, value) = row.map_err(|error| error.to_string())?;
        if key.value() != rows || value.value() != body(rows) {
            return Err(format!("row {} where {rows} belongs", key.value()));
        }
        rows += 1;
    }
    if rows % ROWS != 0 {
        return Err(format!("{rows} rows are a commit by half"));
    }
    Ok(rows / ROWS)
}

fn body(row: u64) -> Vec<u8> {
    vec![row as u8; 40 + (row * 97 % 800) as usize]
}

fn commit(database: &Database, number: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for row in number * ROWS..(number + 1) * ROWS {
            table.insert(row, body(row).as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Commits every 200 microseconds without waiting for the last one, and notes what is durable.
async fn committer(mut port: Port<Datagram>, ledger: Arc<Mutex<Ledger>>) {
    let database = match open(&port) {
        Ok(database) => database,
        Err(error) => {
            ledger.lock().unwrap().found = Some(Err(error));
            return;
        }
    };
    let mut next = match audit(&database) {
        Ok(commits) => commits,
        Err(error) => {
            ledger.lock().unwrap().found = Some(Err(error));
            return;
        }
    };
    ledger.lock().unwrap().found = Some(Ok(next));
    let start = port.now_ns();
    let (mut round, mut arrivals) = (1, Vec::new());
    loop {
        port.next(Some(start + round * MS / 5), &mut arrivals).await;
        for arrival in arrivals.drain(..) {
            match arrival {
                Arrival::Wake => {
                    round += 1;
                    commit(&database, next).unwrap();
                    next += 1;
                    ledger.lock().unwrap().issued = next;
                    port.flush_ticket(next);
                }
                Arrival::Done { ticket, result: Ok(()) } => {
                    ledger.lock().unwrap().acknowledged = ticket;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn redb_keeps_its_word_through_hundreds_of_crashes() {
    in_child("redb_keeps_its_word_through_hundreds_of_crashes", || {
        run(1, || async {
            let mut config = calm(1, 4);
            // One sync takes longer than the time between two commits: several are under way.
            config.disk.sync_ns = 300_000;
            config.disk.sync_jitter_ppm = 500_000;
            let world = World::new(config);
            let ledger = Arc::new(Mutex::new(Ledger::default()));
            let for_nodes = Arc::clone(&ledger);
            world.set_program(move |port| committer(port, Arc::clone(&for_nodes)));
            let mut draws = Draws::new(4, "test");
            let (mut lost, mut kept, mut at_ns) = (0, 0, 0);
            for round in 0..450 {
                let mode = [CrashMode::Keep, CrashMode::Lose, CrashMode::Tear][round % 3];
                world.start(0);
                // Sometimes in the middle of the recovery, mostly after some commits.
                at_ns += 1 + draws.draw(0, round as u64).below(0, 3 * MS);
                world.pump(at_ns).await;
                world.crash(0, mode);
                let Ledger { issued, acknowledged, found } =
                    std::mem::take(&mut *ledger.lock().unwrap());
                let found = found.expect("it looked").expect("it opened");
                world.start(0);
                world.pump(at_ns + 1).await;
                at_ns += 1;
                let after = ledger.lock().unwrap().found.take().expect("it looked").unwrap();
                let promised = acknowledged.max(match mode {
                    CrashMode::Keep => issued.max(found),
                    _ => 0,
                });
                let most = issued.max(found);
                assert!(
                    (promised..=most).contains(&after),
                    "round {round}, {mode:?}: {promised} promised, {most} issued, {after} found"
                );
                lost += most - after;
                kept += after - acknowledged.min(after);
                world.crash(0, CrashMode::Keep);
                if most > 400 {
                    world.lose_disk(0);
                }
            }
            assert!(lost > 100 && kept > 100, "{lost} lost, {kept} kept unacknowledged");
        })
        .unwrap();
    });
}

#[test]
fn a_database_reports_a_sick_disk() {
    in_child("a_database_reports_a_sick_disk", || {
        run(1, || async {
            let world = World::new(calm(1, 1));
            let outcome = Arc::new(Mutex::new(Vec::new()));
            let for_nodes = Arc::clone(&outcome);
            world.set_program(move |mut port: Port<Datagram>| {
                let outcome = Arc::clone(&for_nodes);
                async move {
                    let database = open(&port).unwrap();
                    let mut arrivals = Vec::new();
                    loop {
                        port.next(None, &mut arrivals).await;
                        for arrival in arrivals.drain(..) {
                            let entry = match arrival {
                                Arrival::Command(number) => {
                                    let result = commit(&database, number).is_ok();
                                    port.flush_ticket(number);
                                    format!("commit {number} {result}")
                                }
                                other => format!("{other:?}"),
                            };
                            outcome.lock().unwrap().push(entry);
                        }
                    }
                }
            });
            world.start(0);
            world.schedule_command(MS, 0, 0);
            world.pump(5 * MS).await;
            world.edit_disk(0, |disk| disk.sync_fault = Some(Fault::Io));
            world.schedule_command(6 * MS, 0, 1);
            world.pump(10 * MS).await;
            let expected = "commit 0 true; Done { ticket: 0, result: Ok(()) }; \
                            commit 1 false; Done { ticket: 1, result: Err(Io) }";
            assert_eq!(outcome.lock().unwrap().join("; "), expected);
        })
        .unwrap();
    });
}
