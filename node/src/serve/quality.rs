//! Counts the coordinator's blurred bits by kinds of people. What kind somebody is stays here.

use causeway_proto::{
    day::Day,
    ids::SweepId,
    linkage::comparison::Presence,
    pb::{self, quality_service_server::QualityService},
    quality::{CountLinked, LEAST_TOLD, LinkedCount, NOISE_GOES_ON, Subgroup as S},
    refusal,
    token::PersonFlags,
};
use prost::Message;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked, sha256},
    session::Session,
    status,
};
use crate::{
    store::{segments, sweeps},
    tokenise::sketch::Sketch,
};

const CALL: &str = "CountLinked";
const DAY_MS: u64 = 86_400_000;
/// Coordinators ask once in four weeks.
const COUNTS_EVERY_MS: u64 = 21 * DAY_MS;

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
        let mut random = StdRng::from_seed(session.keys.own.counting(&hash));
        let counts = tally.told(&mut random);
        let counts: Vec<pb::LinkedCount> = counts.into_iter().map(Into::into).collect();
        Ok((counts.len() as u64, pb::CountLinkedResponse { counts }))
    }

    /// Refuses to count other bits than the first, in this sweep and for three weeks: answers beside
    /// each other would point at those whose bits are not the same.
    async fn only_once(&self, sweep: SweepId, hash: [u8; 32]) -> Result<(), Status> {
        let now_ms = (self.now_ms)();
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let message = match sweeps::counted(&mut tx, sweep).await.map_err(status::store)? {
            // The same question has the same answer, noise and all.
            Some(before) if before == hash => return Ok(()),
            Some(_) => {
                "the node has counted other bits in this sweep and counts once only".to_owned()
            }
            None => {
                let last = sweeps::last_counted_ms(&mut tx).await.map_err(status::store)?;
                let lately = last.is_some_and(|last| now_ms.saturating_sub(last) < COUNTS_EVERY_MS);
                if self.any_day || !lately {
                    let put = sweeps::put_counted(&mut tx, sweep, hash, now_ms).await;
                    put.map_err(status::store)?;
                    return tx.commit().await.map_err(|error| status::store(error.into()));
                }
                let days = COUNTS_EVERY_MS / DAY_MS;
                format!(
                    "the node counts once in {days} days, and has counted since: keep that count"
                )
            }
        };
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

    /// Returns what may be told: every number with noise, and no kind of few people.
    ///
    /// Whether a kind is left out depends on what would be told and on nothing else, so neither that nor
    /// what others come to says anything that the noise has not blurred.
    fn told(&self, random: &mut impl Rng) -> Vec<LinkedCount> {
        let mut told = Vec::new();
        for subgroup in S::DIVISIONS.into_iter().flatten() {
            let (records, indicated) = self.0[*subgroup as usize];
            let mut blurred = |count: u32| {
                let blurred = i64::from(count) + noise(random);
                u32::try_from(blurred.max(0)).unwrap_or(u32::MAX)
            };
            let (records, indicated) = (blurred(records), blurred(indicated));
            if records >= LEAST_TOLD {
                let indicated = indicated.min(records);
                told.push(LinkedCount { subgroup: *subgroup, records, indicated });
            }
        }
        told.sort_by_key(|count| count.subgroup);
        told
    }
}

/// How often a coin that seldom fails comes up before it does, less how often another one does.
fn noise(random: &mut impl Rng) -> i64 {
    let mut throws = || {
        let mut throws = 0;
        while random.random_bool(NOISE_GOES_ON) {
            throws += 1;
        }
        throws
    };
    throws() - throws()
}

#[cfg(test)]
mod tests {
    use causeway_proto::quality::NOISE_VARIANCE;

    use super::*;

    #[test]
    fn few_people_are_left_out_and_every_number_is_blurred() {
        let mut tally = Tally::default();
        let rest = [S::AgeUnknown, S::NationalNumber, S::CommonSurname, S::Address];
        let kinds = |sex| [sex, rest[0], rest[1], rest[2], rest[3]];
        (0..400).for_each(|at| tally.add(kinds(S::Female), at % 2 == 0));
        (0..9).for_each(|_| tally.add(kinds(S::Male), true));
        let (mut men, mut exact) = (0, 0);
        for seed in 0..200 {
            let told = tally.told(&mut StdRng::from_seed([seed; 32]));
            assert!(told.iter().all(|count| count.indicated <= count.records));
            let of = |kind| told.iter().find(|count| count.subgroup == kind);
            men += usize::from(of(S::Male).is_some());
            let women = of(S::Female).unwrap();
            assert!((340..=460).contains(&women.records), "{women:?}");
            exact += usize::from((women.records, women.indicated) == (400, 200));
        }
        assert!(men < 20, "{men} of 200");
        assert!(exact < 20, "{exact} of 200");
    }

    #[test]
    fn noise_is_as_wide_as_the_coordinator_takes_it_for() {
        let mut random = StdRng::from_seed([7; 32]);
        let drawn: Vec<f64> = (0..20_000).map(|_| noise(&mut random) as f64).collect();
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.2, "{mean}");
        assert!((variance / NOISE_VARIANCE - 1.0).abs() < 0.1, "{variance}");
    }
}
