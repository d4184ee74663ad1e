//! The places that geolocation routing knows.

use super::{Answer, Refusal, RoutingPolicy, record_set::Geolocation};

const CONTINENTS: &str = "AF AN AS EU NA OC SA";

/// ISO 3166-1 alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI \
    BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY \
    CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN \
    GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH \
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL \
    PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV \
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN \
    VU WF WS XK YE YT ZA ZM ZW";

/// States of the United States and the district.
const STATES: &str = "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS \
    MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY";

/// The policy of a geolocation, or `InvalidInput` when it names no place.
pub(super) fn checked(location: &Geolocation) -> Answer<RoutingPolicy> {
    let invalid = |text: &str| {
        Err(Refusal::new(
            "InvalidInput",
            format!("Invalid request: {text}"),
        ))
    };
    let known = |list: &str, code: &str| list.split_whitespace().any(|known| known == code);
    let (continent, country, subdivision) = (
        location.continent.as_deref(),
        location.country.as_deref(),
        location.subdivision.as_deref(),
    );
    match (continent, country, subdivision) {
        (None, None, _) => {
            return invalid("GeoLocation needs ContinentCode or CountryCode");
        }
        (Some(_), None, None) | (None, Some(_), _) => {}
        _ => {
            return invalid(
                "ContinentCode cannot be specified with CountryCode or SubdivisionCode",
            );
        }
    }
    if continent.is_some_and(|code| !known(CONTINENTS, code)) {
        return invalid("ContinentCode is not a known continent");
    }
    if country.is_some_and(|code| code != "*" && !known(COUNTRIES, code)) {
        return invalid("CountryCode is not a known country");
    }
    match (country, subdivision) {
        (_, None) | (Some("UA"), Some(_)) => {}
        (Some("US"), Some(state)) if known(STATES, state) => {}
        (Some("US"), _) => return invalid("SubdivisionCode is not a known state"),
        _ => return invalid("SubdivisionCode can only be specified with CountryCode US"),
    }
    Ok(RoutingPolicy::Geolocation {
        continent: location.continent.clone(),
        country: location.country.clone(),
        subdivision: location.subdivision.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_ones() {
        let check = |continent: &str, country: &str, subdivision: &str| {
            let code = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            checked(&Geolocation {
                continent: code(continent),
                country: code(country),
                subdivision: code(subdivision),
            })
            .is_ok()
        };
        assert!(check("EU", "", ""));
        assert!(check("", "DE", ""));
        assert!(check("", "*", ""));
        assert!(check("", "US", "CA"));
        assert!(!check("", "", ""));
        assert!(!check("XX", "", ""));
        assert!(!check("", "ZZ", ""));
        assert!(!check("EU", "DE", ""));
        assert!(!check("EU", "", "CA"));
        assert!(!check("", "DE", "CA"));
        assert!(!check("", "US", "ZZ"));
        assert!(!check("", "", "CA"));
    }
}
