//! What a list says once it is at its end: of each of our readings, and of the records that
//! are none of them.

use super::Look;
use crate::drain::reconcile::sought::Sought;
use crate::reading::Seq;
use crate::verified::Extra;

/// So many records that are nobody's are told by name.
const NAMED: usize = 20;

/// What a list says of our readings.
#[derive(Debug)]
pub(in crate::drain::reconcile) struct ToldOf {
    /// In the order in which they were looked for.
    pub ours: Vec<ToldOne>,
    /// Records that are nobody's, or a reading again.
    pub extras: u64,
    /// Some of them.
    pub named: Vec<Extra>,
}

/// What a list says of one reading.
#[derive(Debug)]
pub(in crate::drain::reconcile) struct ToldOne {
    pub seq: Seq,
    pub there: bool,
    /// A record that is nobody's may be it.
    pub like: bool,
}

/// What a list says of one reading.
#[derive(Debug)]
pub(super) enum Told {
    /// Nothing.
    Not,
    /// It is there, under this id, and known by more than that or not.
    There { id: Option<String>, recognised: bool },
}

impl Told {
    pub fn is_there(&self) -> bool {
        matches!(self, Self::There { .. })
    }

    pub fn is_recognised(&self) -> bool {
        matches!(self, Self::There { recognised: true, .. })
    }
}

impl Look {
    /// Counts records that are nobody's, or `of` again; the least of them are named, so that
    /// the order of the list says nothing.
    pub(super) fn name_extra(&mut self, of: Option<Seq>, id: Option<String>, many: u64) {
        self.extras += many;
        self.named.insert(Extra { seq: of, id });
        if self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    /// The list is at its end: what it says of each reading, and what else there is.
    pub(in crate::drain::reconcile) fn told(mut self) -> ToldOf {
        let told = self.tell();
        let (mut ours, mut twice) = (Vec::with_capacity(told.len()), Vec::new());
        for (sought, told) in self.ours.iter().zip(&told) {
            let noted = sought.noted.as_ref().map_or(0, |(many, _)| *many);
            let again = noted.saturating_sub(usize::from(sought.claimed.is_none()));
            if again > 0 {
                twice.push((sought.reading.seq, again as u64));
            }
            let like = self.is_like(sought) || self.may_be_unreadable(sought);
            ours.push(ToldOne { seq: sought.reading.seq, there: told.is_there(), like });
        }
        twice.into_iter().for_each(|(seq, many)| self.name_extra(Some(seq), None, many));
        ToldOf { ours, extras: self.extras, named: self.named.into_iter().collect() }
    }

    /// What became of each of our readings; records that are left over are let loose.
    pub(super) fn tell(&mut self) -> Vec<Told> {
        let wants = |sought: &Sought| sought.claimed.is_none() && sought.noted.is_none();
        let matched = self.keyed.matched(self.ours.iter().map(wants));
        let mut told = Vec::with_capacity(self.ours.len());
        for (sought, matched) in self.ours.iter().zip(matched) {
            told.push(match (&sought.claimed, &sought.noted, matched) {
                (Some(row), _, _) => {
                    Told::There { id: row.id.clone(), recognised: self.is(row, sought) }
                }
                (None, Some((_, id)), _) => Told::There { id: id.clone(), recognised: true },
                (None, None, Some(id)) => Told::There { id, recognised: true },
                (None, None, None) => Told::Not,
            });
        }
        for (fits, left) in self.keyed.left() {
            let one = fits.by_key.first().and_then(|at| self.ours.get(*at));
            let of = one.map(|one| one.reading.seq);
            let key = one.map(|one| (one.meter.clone(), one.reading.raw));
            self.name_extra(of, None, left as u64);
            let Some((meter, raw)) = key else { continue };
            self.let_loose(&meter, raw, &fits);
        }
        told
    }
}
