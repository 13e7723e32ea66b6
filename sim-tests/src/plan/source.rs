//! The text of a plan: the file, the `--set` overrides on top, and where everything stands.
//!
//! Overrides must be checked like the file itself: `--set run.duraton=10s` that is silently
//! ignored would run the wrong world. So they are applied to the *document*, before it is read,
//! and each value keeps the range of text that it came from. For this the overrides are appended
//! to the text of the file, as if they were further lines: one range type serves both, and an
//! error can point at line 12 of the file or at the third `--set`.

use super::error::{Excerpt, PlanError, Words, explain};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A table of the document; every key and value knows its range of text.
pub(super) type Table<'a> = DeTable<'a>;
/// A value of the document.
pub(super) type Value<'a> = DeValue<'a>;

/// The text behind a plan, for errors that are found later.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As the user named it.
    file: String,
    /// The file, then each override.
    text: String,
    /// Where the overrides stand in `text`.
    overrides: Vec<Range<usize>>,
    /// Dotted path of every value -> its range.
    ranges: BTreeMap<String, Range<usize>>,
}

impl Source {
    /// Parses `text` and applies each `path=value` of `sets`, in order.
    pub(super) fn parse<'a>(
        file: &str,
        text: &'a str,
        sets: &'a [String],
    ) -> Result<(Self, Table<'a>), PlanError> {
        let mut source = Source {
            file: file.into(),
            text: text.into(),
            overrides: Vec::new(),
            ranges: BTreeMap::new(),
        };
        let mut table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(e) => {
                let remedy = "mend the TOML syntax; text needs quotes, sections need [brackets]";
                let what = format!("not TOML: {}", e.message().replace('\n', ", "));
                return Err(source.error(e.span().unwrap_or(0..0), (what, remedy.into())));
            }
        };
        for set in sets {
            let start = source.text.len();
            source.text.push_str(set);
            let range = start..source.text.len();
            source.overrides.push(range.clone());
            apply(&mut table, set, &range).map_err(|words| source.error(range, words))?;
        }
        record(&mut source.ranges, "", &table);
        Ok((source, table))
    }

    /// Adds what `text` says and `table` does not; lists are appended. The text is ours, so that
    /// a mistake in it is shown as it stands.
    pub(super) fn complete<'a>(
        &self,
        table: &mut Table<'a>,
        name: &str,
        text: &'a str,
    ) -> Result<(), PlanError> {
        let drawn = DeTable::parse(text).map_err(|e| PlanError {
            place: name.into(),
            excerpt: None,
            what: format!("not TOML: {}\n{text}", e.message()),
            remedy: "this is a mistake of the swarm, please report it".into(),
        })?;
        fill(table, drawn.into_inner());
        Ok(())
    }

    /// Reads a table as `T`. `more` are keys that the caller took out of the table before.
    pub(super) fn read<'a, T: Deserialize<'a>>(
        &self,
        table: Table<'a>,
        range: Range<usize>,
        more: &[&str],
    ) -> Result<T, PlanError> {
        self.read_value(Spanned::new(range, DeValue::Table(table)), more)
    }

    /// Reads a value as `T`.
    pub(super) fn read_value<'a, T: Deserialize<'a>>(
        &self,
        value: Spanned<Value<'a>>,
        more: &[&str],
    ) -> Result<T, PlanError> {
        let range = value.span();
        T::deserialize(toml::de::ValueDeserializer::from(value))
            .map_err(|e| self.error(e.span().unwrap_or(range), explain(e.message(), more)))
    }

    /// An error at the value with this dotted path, or at the nearest thing around it.
    pub(super) fn error_at(&self, path: &str, words: Words) -> PlanError {
        let mut path = path;
        loop {
            if let Some(range) = self.ranges.get(path) {
                return self.error(range.clone(), words);
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
        let (what, remedy) = words;
        PlanError { place: self.file.clone(), excerpt: None, what, remedy }
    }

    /// An error at a range of the text.
    pub(super) fn error(&self, range: Range<usize>, (what, remedy): Words) -> PlanError {
        if let Some(set) = self.overrides.iter().find(|o| o.contains(&range.start) || **o == range)
        {
            let place = format!("--set {}", &self.text[set.clone()]);
            return PlanError { place, excerpt: None, what, remedy };
        }
        let end = self.overrides.first().map_or(self.text.len(), |o| o.start);
        let excerpt = excerpt(&self.text[..end], &range);
        let place = format!("{}:{}:{}", self.file, excerpt.line, excerpt.column);
        PlanError { place, excerpt: Some(excerpt), what, remedy }
    }
}

/// The line that `range` starts on. Columns count characters.
fn excerpt(text: &str, range: &Range<usize>) -> Excerpt {
    let mut at = range.start.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let line = text[start..].split('\n').next().unwrap_or("").trim_end_matches('\r');
    let marked = text.get(at..range.end.min(start + line.len())).map_or(0, |t| t.chars().count());
    Excerpt {
        line: text[..start].matches('\n').count() + 1,
        column: text[start..at].chars().count() + 1,
        marked: marked.max(1),
        text: line.into(),
    }
}

/// Notes the range of every value under `prefix`.
fn record(ranges: &mut BTreeMap<String, Range<usize>>, prefix: &str, table: &Table<'_>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        ranges.insert(path.clone(), value.span());
        match value.get_ref() {
            DeValue::Table(inner) => record(ranges, &format!("{path}."), inner),
            DeValue::Array(rows) => {
                for (i, row) in rows.iter().enumerate() {
                    ranges.insert(format!("{path}.{i}"), row.span());
                    if let DeValue::Table(inner) = row.get_ref() {
                        record(ranges, &format!("{path}.{i}."), inner);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Puts the value of one override into the document.
fn apply<'a>(table: &mut Table<'a>, set: &'a str, range: &Range<usize>) -> Result<(), Words> {
    let example = || "write path=value, for example run.duration=10s".to_owned();
    let Some((path, value)) = set.split_once('=') else {
        return Err(("there is no `=` in this override".into(), example()));
    };
    let keys: Vec<&str> = path.trim().split('.').collect();
    if keys.contains(&"") {
        return Err((format!("`{path}` is not a path of keys"), example()));
    }
    // A TOML value, or else a string: `10s` and `mainnet` need no quotes.
    let value = DeValue::parse(value)
        .map_or_else(|_| DeValue::String(Cow::Borrowed(value)), Spanned::into_inner);
    insert(table, &keys, relocate(value, range), range)
}

/// Walks down `keys`, making tables where there are none, and replaces the last one.
fn insert<'a>(
    table: &mut Table<'a>,
    keys: &[&'a str],
    value: Spanned<Value<'a>>,
    range: &Range<usize>,
) -> Result<(), Words> {
    let (first, rest) = keys.split_first().expect("a path has at least one key");
    let key = Spanned::new(range.clone(), Cow::Borrowed(*first));
    let Some(next) = rest.first() else {
        // Removed first, because a map keeps the old key (and its range) when it replaces.
        table.remove(*first);
        table.insert(key, value);
        return Ok(());
    };
    if !table.contains_key(*first) {
        table.insert(key, Spanned::new(range.clone(), DeValue::Table(Table::new())));
    }
    match table.get_mut(*first).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => insert(inner, rest, value, range),
        Some(DeValue::Array(rows)) => {
            let count = rows.len();
            let row = next.parse::<usize>().ok().and_then(|i| rows.get_mut(i));
            let row = row.ok_or_else(|| {
                (
                    format!("`{first}` has {count} entries, and `{next}` is none of them"),
                    "entries are counted from 0; new ones cannot be added".to_owned(),
                )
            })?;
            match (row.get_mut(), &rest[1..]) {
                (_, []) => *row = value,
                (DeValue::Table(inner), deeper) => return insert(inner, deeper, value, range),
                (_, deeper) => return Err(too_deep(&format!("{first}.{next}"), deeper[0])),
            }
            Ok(())
        }
        _ => Err(too_deep(first, next)),
    }
}

/// Takes from `more` what `table` does not have.
fn fill<'a>(table: &mut Table<'a>, more: Table<'a>) {
    for (key, value) in more {
        let value = relocate(value.into_inner(), &(0..0));
        match (table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_inner()) {
            (None, value) => {
                table.insert(Spanned::new(0..0, key.into_inner()), Spanned::new(0..0, value));
            }
            (Some(DeValue::Table(inner)), DeValue::Table(more)) => fill(inner, more),
            (Some(DeValue::Array(rows)), DeValue::Array(more)) => {
                more.into_iter().for_each(|row| rows.push(row));
            }
            (Some(_), _) => {}
        }
    }
}

fn too_deep(path: &str, key: &str) -> Words {
    (format!("`{path}` is a single value: it has no `{key}`"), format!("set `{path}` itself"))
}

/// Gives `value` and everything in it the range of the override that it came from.
fn relocate<'a>(value: Value<'a>, range: &Range<usize>) -> Spanned<Value<'a>> {
    let value = match value {
        DeValue::Array(rows) => {
            let mut moved = DeArray::new();
            rows.into_iter().for_each(|row| moved.push(relocate(row.into_inner(), range)));
            DeValue::Array(moved)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(k, v)| {
                    (Spanned::new(range.clone(), k.into_inner()), relocate(v.into_inner(), range))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(range.clone(), value)
}

#[cfg(test)]
mod tests;
