//! The lies that a plan may order, by the names that observers would give them.
//!
//! A plan says that some identities are byzantine and how they behave; what that means in messages
//! is the business of the room that plays them. Here are only the names, what each looks like from
//! outside, and the one property that the budget needs: whether a behaviour makes correct nodes
//! reconstruct different blocks of one slot. The protocol promises progress against that only
//! while more than 80 % of the stake is correct and in touch; with crashes beside it, it does not.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// One way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// As written in a plan; a run counts under this name how often it really happened.
    pub name: &'static str,
    /// The number in the catalogue of the protocol's specification.
    pub id: &'static str,
    /// What an observer sees.
    pub shows: &'static str,
    /// Correct nodes may reconstruct different blocks of one slot.
    pub(super) splits: bool,
}

const fn lie(id: &'static str, name: &'static str, shows: &'static str) -> Behaviour {
    Behaviour { name, id, shows, splits: false }
}

const fn split(id: &'static str, name: &'static str, shows: &'static str) -> Behaviour {
    Behaviour { name, id, shows, splits: true }
}

/// Every behaviour that a plan may name.
#[rustfmt::skip]
pub const BEHAVIOURS: [Behaviour; 33] = [
    split("B1",  "equivocating-leader",   "a leader sends one block to one half and another to the other"),
    split("B1",  "forked-window",         "a block for less than half of the stake, and two children of it"),
    split("B2",  "many-blocks",           "a leader sends three to ten blocks of one slot to as many groups"),
    lie("B3",    "withheld-shreds",       "one piece too few of a slice arrives, except at a few nodes"),
    lie("B4",    "split-at-threshold",    "a block reaches just over or just under a threshold of stake"),
    lie("B5",    "late-block",            "the last slice of a block reaches some just before the timeout"),
    lie("B6",    "bad-code",              "pieces of a slice that are no codeword"),
    lie("B7",    "malformed-shreds",      "shreds with wrong paths, places and sizes"),
    split("B8",  "bad-sequence",          "slices that contradict each other about which is the last"),
    lie("B9",    "wrong-parent",          "blocks on parents that are not ready, unknown, or themselves"),
    lie("B9",    "early-block",           "blocks and garbage for windows that are far from their time"),
    lie("B10",   "bad-switch",            "blocks that switch their parent twice, or where none may"),
    lie("B11",   "same-block-twice",      "the same slices signed for two slots"),
    lie("B12",   "replayed-slices",       "slices of other leaders and slots under new names"),
    lie("B13",   "dark-relays",           "relays that drop, delay, damage, or serve only some"),
    lie("B14",   "relay-flood",           "shreds again and again, also from those who do not relay them"),
    lie("B15",   "two-faced-votes",       "a notar vote to some and a skip vote to others"),
    lie("B16",   "double-votes",          "initial and fallback vote for one thing, to be counted twice"),
    lie("B17",   "fallback-spam",         "fallback votes for many blocks, some of which nobody has"),
    lie("B18",   "stray-final-votes",     "final votes without a notar vote, or beside skip and fallback"),
    lie("B19",   "deciding-votes",        "votes held until they decide, then sent to one node"),
    lie("B20",   "votes-for-one",         "votes that reach one node only"),
    lie("B20",   "withheld-final-votes",  "votes of the first round to all, final votes to nobody"),
    lie("B21",   "withheld-certificates", "certificates collected in private and released late"),
    lie("B22",   "forged-certificates",   "certificates that the named signers did not sign"),
    lie("B23",   "double-signers",        "certificates that count one signer twice"),
    lie("B24",   "vote-spam",             "votes and certificates for far, old and repeated slots"),
    lie("B25",   "replayed-votes",        "old votes again, and votes of other clusters and other signers"),
    lie("B26",   "lying-repair",          "wrong answers to repair questions, and refusals"),
    lie("B27",   "repair-flood",          "repair questions without end"),
    lie("B28",   "timer-skew",            "votes and certificates that reach some at once and others late"),
    split("B31", "twins",                 "one identity runs twice, each talking to another half"),
    lie("B34",   "old-fork",              "a leader builds on an older ready parent than it could"),
];

/// The names, for messages.
const NAMES: [&str; BEHAVIOURS.len()] = {
    let mut names = [""; BEHAVIOURS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = BEHAVIOURS[i].name;
        i += 1;
    }
    names
};

/// What the identities of one fault do, all at once: `"twins"` or `["vote-spam", "lying-repair"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviours(pub Vec<&'static str>);

impl Behaviours {
    /// Whether correct nodes may reconstruct different blocks of one slot.
    pub(super) fn split(&self) -> bool {
        self.0.iter().any(|name| BEHAVIOURS.iter().any(|b| b.splits && b.name == *name))
    }
}

impl fmt::Display for Behaviours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Serialize for Behaviours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Behaviours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> de::Visitor<'de> for Names {
            type Value = Behaviours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a behaviour or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Behaviours, E> {
                known(text).map(|name| Behaviours(vec![name]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Behaviours, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    let name = known(&name)?;
                    if names.contains(&name) {
                        let twice = format!("{name:?} is listed twice\nname each behaviour once");
                        return Err(de::Error::custom(twice));
                    }
                    names.push(name);
                }
                match names.is_empty() {
                    true => Err(de::Error::custom("no behaviour is named\nname at least one")),
                    false => Ok(Behaviours(names)),
                }
            }
        }
        deserializer.deserialize_any(Names)
    }
}

fn known<E: de::Error>(text: &str) -> Result<&'static str, E> {
    let found = NAMES.iter().find(|name| **name == text);
    found.copied().ok_or_else(|| E::unknown_variant(text, &NAMES))
}
