//! Says who may share a home, in words that agree inside one sweep only.

use std::collections::{BTreeMap, HashMap, HashSet};

use causeway_proto::{
    dwelling::{Dwelling, Residence},
    ids::SweepId,
    pb::{self, dwelling_service_server::DwellingService},
};
use sqlx::SqliteConnection;
use tonic::{Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    distinct_rows_of,
    session::Session,
    status,
};
use crate::store::{
    StoreError, events, persons,
    residences::{self, Certainty, Home},
    segments,
};

#[tonic::async_trait]
impl DwellingService for Node {
    #[tracing::instrument(name = "dwellings.query", skip_all)]
    async fn query_dwellings(
        &self,
        request: Request<pb::QueryDwellingsRequest>,
    ) -> Result<Response<pb::QueryDwellingsResponse>, Status> {
        let items = request.get_ref().handles.len() / 16;
        let asked = Asked::of("QueryDwellings", &request, &request.get_ref().sweep_id, items);
        let answer = self.dwellings(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

impl Node {
    async fn dwellings(
        &self,
        request: pb::QueryDwellingsRequest,
    ) -> Answer<pb::QueryDwellingsResponse> {
        let session = self.session(SweepId::from_wire("sweep_id", &request.sweep_id)?).await?;
        let rows = distinct_rows_of(&session, &request.handles)?;
        let mut store = self.store.snapshot().await.map_err(status::store)?;
        let homes = Homes::load(&mut store, &session, &rows).await.map_err(status::store)?;
        let residence = |row: &u64| match session.is_spoken_of(*row) {
            true => homes.residence(&session, *row),
            false => Residence::Uncertain,
        };
        let residences: Vec<pb::Residence> = rows.iter().map(|row| residence(row).into()).collect();
        Ok((residences.len() as u64, pb::QueryDwellingsResponse { residences }))
    }
}

/// What the store knows of some people's homes.
struct Homes {
    by_row: HashMap<u64, Vec<Home>>,
    adults: HashSet<u64>,
    /// People who are known here only as ones who may have done harm. Where the police met a suspect
    /// is no evidence of who lives there.
    only_suspects: HashSet<u64>,
    /// Buildings that some record here knows a flat of.
    divided: HashSet<String>,
}

impl Homes {
    async fn load(
        conn: &mut SqliteConnection,
        session: &Session,
        rows: &[u64],
    ) -> Result<Self, StoreError> {
        let persons = persons::by_row(conn, rows).await?;
        let ids: Vec<i64> = persons.iter().map(|person| person.id).collect();
        let row_of: HashMap<i64, u64> = persons.iter().map(|p| (p.id, p.row)).collect();

        let mut by_row: HashMap<u64, Vec<Home>> = HashMap::new();
        for (person, home) in residences::of_persons(conn, &ids).await? {
            by_row.entry(row_of[&person]).or_default().push(home);
        }
        let mut roles: BTreeMap<u64, (bool, bool)> = BTreeMap::new();
        for event in events::of_persons(conn, &ids, session.as_at()).await? {
            let (suspect, other) = roles.entry(event.row).or_default();
            *suspect |= event.suspect;
            *other |= !event.suspect;
        }
        let only_suspects =
            roles.iter().filter(|(_, roles)| **roles == (true, false)).map(|(row, _)| *row);
        let born = segments::born_of(conn, rows).await?;
        let adults = born.into_iter().filter(|(_, born)| born.years_until(session.as_at()) >= 18);
        let buildings: HashSet<&str> =
            by_row.values().flatten().filter_map(|home| home.building.as_deref()).collect();
        let buildings: Vec<&str> = buildings.into_iter().collect();
        let divided = residences::divided(conn, &buildings).await?;
        Ok(Self {
            adults: adults.map(|(row, _)| row).collect(),
            only_suspects: only_suspects.collect(),
            divided,
            by_row,
        })
    }

    fn residence(&self, session: &Session, row: u64) -> Residence {
        let homes = self.by_row.get(&row).map_or(&[][..], Vec::as_slice);
        // Where one record says that nobody may be told, another that still names the home they fled tells it not.
        let is_over = |home: &Home| home.to.is_some_and(|to| to <= session.as_at());
        if homes.iter().any(|home| home.certainty == Certainty::Withheld && !is_over(home)) {
            return Residence::Withheld;
        }
        if self.only_suspects.contains(&row) {
            return Residence::Uncertain;
        }
        let adult = self.adults.contains(&row);
        let mut dwellings: Vec<Dwelling> = homes
            .iter()
            .filter(|home| home.certainty == Certainty::Known)
            .filter(|home| home.from.is_none_or(|from| from <= session.as_at()))
            .filter_map(|home| self.dwelling(session, home, adult))
            .collect();
        // Two records of one person at one address are one stay.
        dwellings.sort_by_key(|dwelling| (dwelling.property, dwelling.address, dwelling.from));
        dwellings.dedup();
        match dwellings.is_empty() {
            true => Residence::Uncertain,
            false => Residence::Known(dwellings),
        }
    }

    fn dwelling(&self, session: &Session, home: &Home, adult: bool) -> Option<Dwelling> {
        let keys = &session.keys;
        let property = home.property.as_deref().map(|uprn| keys.dwelling(&["property", uprn]));
        let flat = home.flat.as_deref().unwrap_or_default();
        // A building with flats is no dwelling.
        let whole = |building: &&str| !flat.is_empty() || !self.divided.contains(*building);
        let address = home.building.as_deref().filter(whole);
        let address = address.map(|building| keys.dwelling(&["address", building, flat]));
        let salt = address.or(property)?;
        let tags = home.surnames.split(' ').filter(|surname| !surname.is_empty());
        Some(Dwelling {
            property,
            address,
            from: home.from,
            // Told only once it is over.
            to: home.to.filter(|to| *to <= session.as_at()),
            surname_tags: tags.map(|surname| keys.surname_tag(salt, surname)).collect(),
            adult,
        })
    }
}
