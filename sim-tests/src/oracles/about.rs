//! What each oracle says, in one sentence, for people who read of a failure.

/// The property that an oracle watches; `None` for a name that is no oracle.
pub fn about(oracle: &str) -> Option<&'static str> {
    let about = match oracle {
        "O1" => "no two correct nodes finalize different blocks of one slot",
        "O2" => "of two final blocks, the lower is an ancestor of the higher",
        "O3" => "of two ledgers, one is a prefix of the other",
        "O4" => "a ledger is a chain, and nothing is delivered twice",
        "O5" => "an identity casts at most one initial vote in a slot, ever",
        "O6" => "no vote and its own fallback together, and no fallback before an initial vote",
        "O7" => "a final vote follows exactly one notar vote and excludes all other votes",
        "O8" => "a final vote needs the notarization certificate of its block",
        "O9" => "inside a window a notar vote goes to a child of the voter's own block",
        "O10" => "in the first slot of a window a notar vote goes to a child of a ready parent",
        "O11" => "a notar-fallback vote is cast exactly when it is safe",
        "O12" => "a skip-fallback vote is cast exactly when it is safe",
        "O13" => "at most three notar-fallback votes in a slot, all for different blocks",
        "O14" => "every certificate that a correct node holds or sends is valid",
        "O15" => "whom a certificate names among the correct, that node cast that vote",
        "O16" => "at most one block of a slot is notarized",
        "O17" => "a certified block has a correct notar voter",
        "O18" => "fast finalization excludes every certificate that says otherwise",
        "O19" => "slow finalization excludes what fast finalization excludes",
        "O20" => "what a node finalizes it can prove",
        "O21" => "behind a final block stands enough correct stake",
        "O22" => "what is decided stays decided",
        "O23" => "a node announces exactly the parents that are ready",
        "O24" => "what is ready above a directly final block descends from it",
        "O25" => "a certified block has an ancestor in each earlier slot of its window",
        "O26" => "at most four blocks of one slot are certified in any way",
        "O27" => "a correct leader signs at most one commitment for each slice",
        "O28" => "what a correct leader produces hangs where it may",
        "O29" => "a stored block is what its name says",
        "O30" => "Rotor gives a node at most one block of a slot",
        "O31" => "a vote is durable before its first byte leaves",
        "O32" => "an incarnation remembers exactly what its log holds",
        "O33" => "no correct node looks like an offender to another",
        "O34" => "correct nodes sign what the protocol knows, and accept nothing else",
        "O35" => "memory is bounded, whatever peers send",
        "O37" => "what a node learns it passes on, and at a standstill it says what it must",
        "O38" => "everybody follows one schedule of leaders and relays",
        "O40" => "a window that is ready at one correct node is soon ready at all",
        "O41" => "every correct node casts an initial vote in every slot in time",
        "O42" => "every slot ends with a skip certificate or a certified block in time",
        "O43" => "a slot goes one way, at every correct node the same",
        "O44" => "from one window to the next in bounded time, whoever leads",
        "O45" => "in a good window nothing is skipped and every block is finalized",
        "O46" => "where delays are constant, the moment of finality is a formula",
        "O47" => "after a heal something new is finalized within the bound",
        "O48" => "whoever knows that a block is certified has the block soon",
        "O49" => "a node that starts late or comes back learns what is final and delivers it",
        "O50" => "nobody stands still while all goes well",
        "panic" => "an honest node does not panic",
        _ => return None,
    };
    Some(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_oracle_has_a_sentence() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oracles");
        let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name());
        let numbers = names.filter_map(|name| {
            let name = name.to_str()?.strip_prefix('o')?.split('_').next()?.parse::<u32>();
            name.ok()
        });
        let known: Vec<u32> = numbers.collect();
        assert!(known.len() > 30);
        for number in known {
            assert!(about(&format!("O{number}")).is_some(), "O{number}");
        }
    }
}
