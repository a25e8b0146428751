//! What a list says once it is at its end: of each of our readings, and of the records that
//! are none of them.

use super::Look;
use crate::drain::reconcile::keyed::Fits;
use crate::drain::reconcile::sought::{Reading, shown};
use crate::reading::Seq;
use crate::verified::Extra;

/// So many records that are nobody's are told by name.
const NAMED: usize = 20;

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

    /// The list is at its end: gives the records that are recognised by their key alone to
    /// readings; those that are left over are let loose, and what is there again is counted.
    pub(super) fn give_keyed(&mut self) {
        const ELSE: u8 = shown::CLAIMED | shown::NOTED;
        let wants = |at| self.ours.shown(at) & (ELSE | shown::KEYED) == 0;
        self.matched = self.keyed.matched((0..self.ours.len()).map(wants));
        for (fits, left) in self.keyed.left() {
            let one = fits.by_key.first().and_then(|at| self.ours.get(*at));
            self.name_extra(one.map(|one| one.seq), None, left as u64);
            if let Some(one) = one {
                self.let_loose(Some(one.meter), one.raw, &fits);
            }
        }
        for at in 0..self.ours.len() {
            let (Some(reading), shown) = (self.ours.get(at), self.ours.shown(at)) else { continue };
            if shown & shown::KEYED != 0 && shown & ELSE != 0 {
                self.name_extra(Some(reading.seq), None, 1);
                self.let_loose(Some(reading.meter), reading.raw, &Fits::default());
            }
            let noted = usize::from(shown & shown::NOTED != 0)
                + self.noted_again.get(&at).copied().unwrap_or(0);
            let again = noted.saturating_sub(usize::from(shown & shown::CLAIMED == 0));
            if again > 0 {
                self.name_extra(Some(reading.seq), None, again as u64);
            }
        }
    }

    /// What became of one of our readings, after [`Self::give_keyed`].
    pub(super) fn told_of(&self, at: usize, reading: &Reading) -> Told {
        let shown = self.ours.shown(at);
        if shown & shown::CLAIMED != 0 {
            let kept = self.claimed.get(&at);
            let id = kept.and_then(|row| row.id.clone());
            return Told::There { id, recognised: kept.is_none_or(|row| self.is(row, reading)) };
        }
        let id = if shown & shown::NOTED != 0 {
            self.noted_ids.get(&at).cloned().flatten()
        } else if shown & shown::KEYED != 0 {
            None
        } else if let Some(id) = self.matched.get(&at) {
            id.clone()
        } else {
            return Told::Not;
        };
        Told::There { id, recognised: true }
    }

    /// For the whole of a job: the list is at its end.
    pub(in crate::drain::reconcile) fn end(&mut self) {
        self.give_keyed();
    }

    /// After that: each reading, in the order in which they are looked for, and whether it is
    /// there.
    pub(in crate::drain::reconcile) fn each(&self) -> impl Iterator<Item = (usize, Reading, bool)> {
        self.ours.iter().map(|(at, of)| (at, of, self.told_of(at, &of).is_there()))
    }

    /// After that: whether a record that is nobody's may be this reading.
    pub(in crate::drain::reconcile) fn may_be(&self, at: usize, reading: &Reading) -> bool {
        self.is_like(at, reading) || self.may_be_unreadable(reading)
    }

    /// After that: records that are nobody's, or a reading again, and some of them.
    pub(in crate::drain::reconcile) fn extras(self) -> (u64, Vec<Extra>) {
        (self.extras, self.named.into_iter().collect())
    }
}
