//! Counts the coordinator's blurred bits by kinds of people. What kind somebody is stays here.

use causeway_proto::{
    day::Day,
    ids::SweepId,
    limits::K_THRESHOLD,
    linkage::comparison::Presence,
    pb::{self, quality_service_server::QualityService},
    quality::{CountLinked, LinkedCount, Subgroup as S},
    refusal,
    token::PersonFlags,
};
use prost::Message;
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked, sha256},
    session::Session,
    status,
};
use crate::{
    store::{audit, segments},
    tokenise::sketch::Sketch,
};

const CALL: &str = "CountLinked";

#[tonic::async_trait]
impl QualityService for Node {
    #[tracing::instrument(name = "quality.count_linked", skip_all)]
    async fn count_linked(
        &self,
        request: Request<pb::CountLinkedRequest>,
    ) -> Result<Response<pb::CountLinkedResponse>, Status> {
        let asked = Asked::of(CALL, &request, &request.get_ref().sweep_id, 1);
        // One at a time, so that no two questions of one sweep pass each other.
        let _turn = self.counting.lock().await;
        let answer = self.counted(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

impl Node {
    async fn counted(&self, request: pb::CountLinkedRequest) -> Answer<pb::CountLinkedResponse> {
        let hash = sha256(&request.encode_to_vec());
        let question = CountLinked::try_from(request)?;
        let session = self.session(question.sweep()).await?;
        if !self.policy_for(session.as_at())?.subgroup_counts {
            let message = "the agency's policy tells no counts by kinds of people";
            return Err(refusal::status(Code::PermissionDenied, "POLICY_REFUSES", message));
        }
        self.only_once(question.sweep(), hash).await?;

        let mut store = self.store.snapshot().await.map_err(status::store)?;
        let born = segments::born(&mut store).await.map_err(status::store)?;
        let mut tally = Tally::default();
        let mut at = 0;
        for rows in &session.order {
            let packed = segments::packed_sketches(&mut store, rows.segment).await;
            let packed = packed.map_err(status::store)?;
            let sketches: Vec<&[u8]> = segments::sketches(&packed).collect();
            for (place, row) in rows.places.iter().zip(rows.rows()) {
                if let Some(indicated) = question.indicator(at) {
                    let sketch = sketches.get(usize::from(*place)).and_then(|s| Sketch::read(s));
                    let corrupt = || status::store(crate::store::StoreError::Corrupt("row"));
                    let sketch = sketch.ok_or_else(corrupt)?;
                    let born = usize::try_from(row).ok().and_then(|row| *born.get(row)?);
                    tally.add(kinds_of(&session, row, born, &sketch), indicated);
                }
                at += 1;
            }
        }
        let counts = tally.told();
        let counts: Vec<pb::LinkedCount> = counts.into_iter().map(Into::into).collect();
        Ok((counts.len() as u64, pb::CountLinkedResponse { counts }))
    }

    /// Refuses to count other bits than the first: a second answer beside the first would point at
    /// those whose bits are not the same.
    async fn only_once(&self, sweep: SweepId, hash: [u8; 32]) -> Result<(), Status> {
        let mut conn = self.store.read().await.map_err(status::store)?;
        let before = audit::first_answered(&mut conn, CALL, sweep).await.map_err(status::store)?;
        if before.is_none_or(|before| before == hash) {
            return Ok(());
        }
        let message = "the node has counted other bits in this sweep and counts once only";
        Err(refusal::status(Code::FailedPrecondition, "COUNTED_ALREADY", message))
    }
}

/// Which kind of each division somebody is.
fn kinds_of(session: &Session, row: u64, born: Option<Day>, sketch: &Sketch<'_>) -> [S; 5] {
    let numbers = PersonFlags::NHS | PersonFlags::UPN | PersonFlags::NINO;
    let age = born.map(|born| born.years_until(session.as_at()));
    let has = |bits| sketch.presence.has(bits);
    [
        match sketch.sex {
            b'f' => S::Female,
            b'm' => S::Male,
            _ => S::SexUnknown,
        },
        match age {
            Some(..5) => S::Age0To4,
            Some(5..18) => S::Age5To17,
            Some(18..65) => S::Age18To64,
            Some(65..) => S::Age65AndOver,
            None => S::AgeUnknown,
        },
        if session.flags(row).any(numbers) { S::NationalNumber } else { S::NoNationalNumber },
        if sketch.has_very_rare_surname() { S::RareSurname } else { S::CommonSurname },
        if has(Presence::POSTCODE) || has(Presence::STREET) { S::Address } else { S::NoAddress },
    ]
}

/// Records and set bits of each kind.
#[derive(Default)]
struct Tally([(u32, u32); S::ALL.len()]);

impl Tally {
    fn add(&mut self, kinds: [S; 5], indicated: bool) {
        for kind in kinds {
            let (records, set) = &mut self.0[kind as usize];
            *records += 1;
            *set += u32::from(indicated);
        }
    }

    /// Returns what may be told. Of a division in which one kind alone is too small, the next larger
    /// one is left out as well: whoever knows the sum would know the missing one.
    fn told(&self) -> Vec<LinkedCount> {
        let too_small = |records: u32| u64::from(records) < K_THRESHOLD;
        let mut told = Vec::new();
        for division in S::DIVISIONS {
            let mut counts: Vec<LinkedCount> = division
                .iter()
                .map(|subgroup| {
                    let (records, indicated) = self.0[*subgroup as usize];
                    LinkedCount { subgroup: *subgroup, records, indicated }
                })
                .filter(|count| count.records > 0)
                .collect();
            counts.sort_by_key(|count| count.records);
            let small = counts.iter().filter(|count| too_small(count.records)).count();
            let left_out = if small == 1 { 2 } else { small };
            told.extend(counts.into_iter().skip(left_out));
        }
        told.sort_by_key(|count| count.subgroup);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_people_are_left_out_and_cannot_be_worked_out_from_the_others() {
        let mut tally = Tally::default();
        let rest = [S::AgeUnknown, S::NationalNumber, S::CommonSurname, S::Address];
        let kinds = |sex| [sex, rest[0], rest[1], rest[2], rest[3]];
        (0..40).for_each(|at| tally.add(kinds(S::Female), at % 2 == 0));
        (0..10).for_each(|_| tally.add(kinds(S::Male), true));
        let of_sex = |tally: &Tally| {
            let told = tally.told().into_iter().filter(|c| c.subgroup <= S::SexUnknown);
            told.map(|count| (count.subgroup, count.records, count.indicated)).collect::<Vec<_>>()
        };
        assert_eq!(of_sex(&tally), [(S::Female, 40, 20), (S::Male, 10, 10)]);
        (0..9).for_each(|_| tally.add(kinds(S::SexUnknown), true));
        assert_eq!(of_sex(&tally), [(S::Female, 40, 20)]);
    }
}
