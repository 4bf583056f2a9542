"""What each field of each answer says of a person: the class that every field needs before it leaves.

Answers are cut before they are encoded (``stream.web.live.seen``, ``stream.core.summaries.reduced``); here
stands what there is to cut. A test walks the types of all answers and fails for a field that is not
classified, and another looks whether viewers without persons get any field that says something of one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Says(StrEnum):
    """What a field says of a person."""

    NOTHING = "nothing of a person"
    IDENTITY = "who an officer is, or which duty"
    DEVICE = "which radio or vehicle"
    DOING = "where one officer or device is or was, and what they did"
    SCOPED = "whatever `scope` says: an officer's, a duty's or a device's, or a neighbourhood's"
    STAFF = "which member of staff did something"
    WORDS = "sentences, which may name somebody"


def _of(nothing: str = "", **more: str) -> dict[Says, frozenset[str]]:
    found = {Says[name.upper()]: frozenset(fields.split()) for name, fields in more.items()}
    return {Says.NOTHING: frozenset(nothing.split()), **found}


_TIMES: Final = "duty_s on_patch_s off_patch_s not_visible_s unknown_s break_s priority_s"
_SHARES: Final = "share share_low share_high"
_FIGURE: Final = f"scope start end {_TIMES} {_SHARES} target verdict doubtful_s without_share"
_OFFICER: Final = (
    "role team patch start end state state_name activity place since on_patch_s duty_s "
    f"{_SHARES} off_patch_since last_fix"
)

FIELDS: Final[dict[str, dict[Says, frozenset[str]]]] = {
    # Live
    "FreshJson": _of("newest_event age_s lag_s state text trouble worker_silent_s"),
    "AbstractionJson": _of("where place_id activity state seconds"),
    "ShareJson": _of(
        f"{_FIGURE} officers_on_duty officers_on_patch projected projected_low projected_high "
        "projected_best projected_worst outlook shift_done abstraction abstraction_s need officers_silent "
        "officers_on_break nobody_since",
        scoped="id name",
    ),
    "PriorityAreaJson": _of(
        "id name issue days hours in_hours neighbourhood last_visit_end someone_there since_s visits "
        "officer_s overdue waiting_since"
    ),
    "AcknowledgedJson": _of("at", staff="by"),
    "AlertJson": _of(
        "alert_id kind scope since raised cleared acknowledged snoozed_until level",
        scoped="id",
        words="text",
    ),
    "RasterJson": _of("tiles"),
    "PmtilesJson": _of("url"),
    "SettingsJson": _of("target timezone basemap stale_s jump_speed_mps max_gap_s"),
    "LiveJson": _of("as_of fresh force neighbourhoods priority_areas alerts settings"),
    "PulseJson": _of("as_of fresh"),
    "SnapshotJson": _of("live units"),
    "ChangedSharesJson": _of("as_of fresh force neighbourhoods"),
    "ChangedAreasJson": _of("priority_areas"),
    "UnitColumnsJson": _of(
        device="ids gone kind", doing="lon lat t_ms heading activity", identity="officers names"
    ),
    "PointJson": _of(doing="coordinates"),
    "HolderJson": _of(identity="officer_id name"),
    "UnitJson": _of(
        device="device_id kind",
        identity="officers",
        doing="time age_s ahead_s heading_deg speed_mps error_m neighbourhood premises priorities where "
        "activity state",
    ),
    "UnitFeatureJson": _of("properties", device="id", doing="geometry"),
    "UnitsJson": _of("time_stamp features"),
    "OfficerJson": _of(identity="officer_id name duty_id", device="device_id", doing=_OFFICER, words="why"),
    "OfficerAtHomeJson": _of(
        identity="officer_id name duty_id", device="device_id", doing=f"{_OFFICER} timeline", words="why"
    ),
    "HourJson": _of(f"start end {_SHARES} duty_s on_patch_s off_patch_s not_visible_s unknown_s break_s"),
    "NeighbourhoodJson": _of("as_of share hours officers"),
    "BookedJson": _of(identity="duty_id", doing="counted_to start end"),
    "OfficerNowJson": _of("duties", identity="officer_id name", doing="officer"),
    "SliceJson": _of(
        device="device_id",
        doing="start end activity where neighbourhood premises priorities ambiguous_s state state_name",
        words="reason",
    ),
    "HeldJson": _of(device="device_id kind", doing="start end"),
    "DutyJson": _of(
        identity="duty_id officer_id name",
        doing="role team patch counted_to start end running",
        device="devices",
    ),
    "TrackJson": _of(device="device_id", doing="t_ms lon lat error_m ignored"),
    "DutyDetailJson": _of("as_of", doing="duty slices track figure"),
    "FigureJson": _of(_FIGURE, scoped="id name"),
    # What the facts are worth
    "QualityFindingJson": _of("scope day finding count seconds neighbourhoods", scoped="id", words="detail"),
    "HeardJson": _of("reports rejected delay_median_s delay_p95_s"),
    "TodayJson": _of("day devices positions jumps far waiting"),
    "NoLongerHeldJson": _of("topic partition messages sent_after sent_before"),
    "QualityJson": _of("as_of text findings heard today no_longer_held", words="warnings"),
    "DeviceDayJson": _of(
        device="device_id",
        doing="waiting positions repeated rejected jumps intervals interval_median_s interval_p95_s delayed "
        "delay_median_s delay_p95_s clock_offset_s silences silent_s far far_m decided_s",
    ),
    "DeviceDaysJson": _of("as_of day devices", device="next"),
    # Weeks
    "PublishedJson": _of("number at sha256"),
    "TimesJson": _of(f"{_TIMES} {_SHARES}"),
    "WeekFigureJson": _of(f"{_FIGURE} ambiguous_on_patch_s ambiguous_off_patch_s", scoped="id name"),
    "WeekPastJson": _of("week target verdict figure"),
    "WeekHourJson": _of(f"{_TIMES} day hour again start end priority_areas"),
    "WeekAreaJson": _of(
        "id name issue days hours always own_hours_s visits visits_in_hours visits_by_other_teams "
        "visits_by_length officer_s officer_in_hours_s officer_by_other_teams_s patrol_s patrol_in_hours_s "
        "last_visit_end"
    ),
    "WeekAwayJson": _of(
        "activity neighbourhood neighbourhood_name premises premises_name state state_name seconds "
        "seconds_before"
    ),
    "WeekCrewingJson": _of("single_s double_s single_by_hour_s double_by_hour_s"),
    "WeekDutyJson": _of(identity="duty_id", doing=f"{_TIMES} {_SHARES} start end team"),
    "WeekOfficerJson": _of(
        identity="officer_id name role",
        doing=f"{_TIMES} {_SHARES} verdict abstraction_s team team_months team_at_least duties",
    ),
    "TeamFacts": _of("team officers experienced perhaps months", identity="joined left"),
    "WeekSaidJson": _of(words="verdict costs notes"),
    "WeekFactFindingJson": _of("scope day finding count seconds", scoped="id", words="detail"),
    "WeekDoubtfulJson": _of("kind seconds"),
    "WeekReportsJson": _of("taken rejected delayed delay_median_s delay_p95_s"),
    "WeekQualityJson": _of(
        "findings doubtful reports questioned_s share_low share_high verdict", words="turning said"
    ),
    "WeekBoundariesJson": _of("kind version valid_from file sha256"),
    "WeekBasisJson": _of(
        "target policy policy_from policy_sha256 policy_versions policy_outdated boundaries as_of until"
    ),
    "RestatementJson": _of("number recorded_at cause before after", staff="by", words="why"),
    "WeekJson": _of(
        "week start end complete published figure past hours priority_areas abstraction crewing officers "
        "teams said quality basis restatements"
    ),
    "ForceWeekFigureJson": _of(f"{_FIGURE} published", scoped="id name"),
    "ForceWeekJson": _of("week start end complete neighbourhoods"),
    "FigureOnRecordJson": _of(
        "break_s not_visible_s unknown_s on_patch_s off_patch_s priority_s ambiguous_on_patch_s "
        f"ambiguous_other_s doubtful_s {_SHARES} verdict"
    ),
    "RestatedFigureJson": _of("week scope target before after", scoped="id name"),
    "RestatementOnRecordJson": _of(
        "restatement cause version counted_anew_from recorded_at figures restated",
        staff="recorded_by",
        words="why",
    ),
    "UnfinishedRecomputeJson": _of("start end parts_done parts", staff="begun_by"),
    "RestatementsJson": _of("restatements next unfinished"),
    # Areas and boundaries
    "PolygonJson": _of("coordinates"),
    "MultiPolygonJson": _of("coordinates"),
    "AreaJson": _of("id name"),
    "AreaFeatureJson": _of("id geometry properties"),
    "AreaFeaturesJson": _of("features"),
    "AreasJson": _of("version neighbourhood priority premises"),
    "LinkJson": _of("href rel type title"),
    "LandingJson": _of("title description links"),
    "ConformanceJson": _of("conforms_to"),
    "SpatialExtentJson": _of("bbox crs"),
    "TemporalExtentJson": _of("interval trs"),
    "ExtentJson": _of("spatial temporal"),
    "CollectionJson": _of("id title description item_type crs storage_crs links extent"),
    "CollectionsJson": _of("links crs collections"),
    "PublishedAreaJson": _of("area_id name kind version valid_from valid_to"),
    "FeatureJson": _of("id geometry properties links"),
    "FeaturesJson": _of("time_stamp number_matched number_returned links features"),
    "FindingJson": _of("severity code kind area_id size_m2 lon lat text done"),
    "FindingFeatureJson": _of("properties geometry"),
    "FindingFeaturesJson": _of("features"),
    "CheckedAreaJson": _of("id name kind"),
    "CheckedFeatureJson": _of("id geometry properties"),
    "CheckedFeaturesJson": _of("features"),
    "CheckSummaryJson": _of("error warning note areas kinds added removed renamed moved changed"),
    "CheckResultJson": _of("may_be_published findings findings_geojson areas_geojson diff summary"),
    "JobJson": _of("job file state progress step error result"),
    "JobNameJson": _of("job"),
    "AreaOfKindJson": _of("kind area_id"),
    "AttributeChangeJson": _of("key before after"),
    "AreaChangeJson": _of("kind area_id name_before name_after gained_m2 lost_m2 attributes"),
    "GroundJson": _of("kind origin target size_m2"),
    "TouchedJson": _of("area_id weeks officer_count", identity="officers"),
    "DiffJson": _of("added removed renamed moved changed ground touched"),
    "TouchedFromJson": _of("start touched"),
    "OutcomeJson": _of("version versions counted_anew_from devices restatement figures_changed"),
    "VersionJson": _of(
        "version kind valid_from areas file sha256 loaded_at findings in_force withdrawn_at",
        staff="loaded_by withdrawn_by",
        words="why withdrawn_why",
    ),
    "HistoryJson": _of("versions"),
    # Who asks, and the record of it
    "GrantJson": _of("role neighbourhoods", identity="officer"),
    "PageJson": _of("path title"),
    "SeeAsJson": _of("key title chosen"),
    "MeJson": _of("signed_in grants pages persons answers_alerts administers see_as", staff="account name"),
    "EntryJson": _of(
        "entry at kind what outcome means hash db_role",
        staff="account source",
        identity="about",
        words="why details",
    ),
    "EntriesJson": _of("entries next"),
    "LookJson": _of("at kind what outcome", staff="account", words="why"),
    "LookedJson": _of("looks next"),
    # Health, and what goes wrong
    "HealthJson": _of("status"),
    "ReadyJson": _of("status newest_event age_s"),
    "ProblemJson": _of("type title status detail code description"),
}
"""By the name of an answer's type: what its fields say."""


def says(kind: str, field: str) -> Says:
    """What a field of an answer's type says.

    Raises:
        KeyError: it is not classified.
    """
    for found, fields in FIELDS[kind].items():
        if field in fields:
            return found
    raise KeyError(f"{kind}.{field} is not classified (stream/web/access/fields.py)")
