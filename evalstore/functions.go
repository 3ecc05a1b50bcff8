package evalstore

import (
	"maps"
	"slices"
	"strings"
)

// What a function may do to the size of a value, by its name. A function that is in none of these cannot be called by
// people: DuckDB's memory limit does not count what a scalar function makes of one chunk of rows, and neither a timeout
// nor an interrupt ends a single call, so that the bound has to be known before the query runs.

// fixedFunctions give a number, a truth, a time or a short text, whatever their arguments. Aggregates and window functions
// that give one of their arguments as it is are of growths.
var fixedFunctions = words(`
	! !~~ !~~* % && * ** + - / // <-> <=> <@ @ @> ^ ^@ & << >> ~ ~~ ~~* ~~~ add subtract multiply divide abs acos acosh age
	array_contains array_cosine_distance array_cosine_similarity array_distance array_dot_product array_has array_has_all array_has_any
	array_indexof array_inner_product array_length array_negative_dot_product array_negative_inner_product array_position array_unique
	ascii asin asinh atan atan2 atanh bit_count bit_length bit_position cardinality cbrt ceil ceiling century char_length
	character_length contains cos cosh cot current_date current_localtime current_localtimestamp date_diff date_sub date_add date_trunc
	datediff datesub datetrunc day dayofmonth dayofweek dayofyear decade degrees ends_with epoch epoch_ms epoch_ns epoch_us era even exp
	factorial floor gamma gcd gen_random_uuid get_current_time get_current_timestamp greatest_common_divisor hamming hash hour instr isfinite
	isinf isnan isodow isoyear jaccard json_contains json_valid julian last_day lcm least_common_multiple len length length_grapheme lgamma
	list_contains list_cosine_distance list_cosine_similarity list_distance list_dot_product list_has list_has_all list_has_any list_indexof
	list_inner_product list_negative_dot_product list_negative_inner_product list_position list_unique ln log log10 log2 make_date make_time
	make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz map_contains microsecond millennium millisecond minute mismatches mod
	month nanosecond nextafter now octet_length ord pi position pow power prefix quarter radians random regexp_full_match regexp_matches
	round second sign signbit sin sinh sqrt starts_with strlen strpos strptime struct_contains struct_has struct_indexof struct_position
	suffix tan tanh time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia
	to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today trunc try_strptime unicode uuid week
	weekday weekofyear year yearweek days_in_month fdiv fmod round_even roundbankers bar_count ago
	dayname monthname date_part datepart chr md5 sha1 sha256 typeof pg_typeof json_type json_array_length json_exists version current_schema current_database
	format_bytes formatreadablesize formatreadabledecimalsize pg_size_pretty list_count list_avg list_entropy list_kurtosis list_kurtosis_pop
	list_mad list_median list_product list_sem list_skewness list_stddev_pop list_stddev_samp list_sum list_var_pop list_var_samp
	list_bool_and list_bool_or list_bit_and list_bit_or list_bit_xor list_approx_count_distinct map_contains_entry map_contains_value
	approx_count_distinct avg bool_and bool_or corr count count_if count_star countif covar_pop covar_samp cume_dist dense_rank entropy favg
	fsum geomean geometric_mean kahan_sum kurtosis kurtosis_pop mad mean ntile percent_rank product quantile_cont rank rank_dense regr_avgx regr_avgy
	regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number sem skewness stddev stddev_pop stddev_samp sum
	sum_no_overflow sumkahan var_pop var_samp variance approx_quantile bit_and bit_or bit_xor wavg weighted_avg
	levenshtein editdist3 damerau_levenshtein jaro_similarity jaro_winkler_similarity
	median quantile quantile_disc grouping grouping_id try error`)

// growth says how long a function's value may be.
type growth struct {
	factor float64 // of all its arguments together
	count  int     // 1 + the argument that says how often, or how long: it has to be a number in the text; 0: there is none
}

// growths are the functions whose value may be as long as their arguments together, times a factor.
var growths = func() map[string]growth {
	m := map[string]growth{}
	for factor, names := range map[float64]string{
		1: `|| any_value arbitrary array_extract array_slice arg_max arg_max_null arg_min arg_min_null argmax argmin
			coalesce concat concat_ws element_at fill first first_value flatten greatest ifnull json_extract json_extract_path
			json_extract_path_text json_extract_string json_value lag last last_value lcase lead least list_any_value list_cat list_concat
			list_distinct list_element list_extract list_filter list_first list_intersect list_last list_max list_min list_mode list_reverse
			list_reverse_sort list_select list_slice list_sort list_where array_cat array_concat array_distinct array_filter array_intersect
			array_pop_back array_pop_front array_reverse array_reverse_sort array_select array_sort array_where ltrim map_extract
			map_extract_value map_values max max_by min min_by mode nth_value nullif regexp_extract reverse rtrim split_part struct_extract
			struct_extract_at trim struct_values if -> ->> constant_or_null unnest`,
		3: `lower ucase upper nfc_normalize strip_accents url_encode url_decode regexp_escape hex to_hex unhex from_hex base64 to_base64
			from_base64 encode decode translate`,
		8: `bin to_binary unbin from_binary json json_quote json_structure to_json array_to_json row_to_json json_keys json_array
			json_object json_merge_patch`,
		2: `array_value array_append array_prepend array_push_back array_push_front array_zip list_append list_pack list_prepend
			list_value list_zip map map_concat map_entries map_from_entries map_keys row struct_concat struct_insert struct_pack
			struct_update remap_struct union_value`,
		20: `struct_keys strftime list_grade_up array_grade_up grade_up list_histogram`,
		40: `regexp_extract_all regexp_split_to_array split str_split str_split_regex string_split string_split_regex string_to_array`,
	} {
		for name := range words(names) {
			m[name] = growth{factor: factor}
		}
	}
	for name, count := range map[string]int{
		"repeat": 2, "lpad": 2, "rpad": 2, "left": 2, "right": 2, "left_grapheme": 2, "right_grapheme": 2, "substr": 3, "substring": 3,
		"substring_grapheme": 3, "list_resize": 2, "array_resize": 2, "bar": 4, "equi_width_bins": 3,
	} {
		m[name] = growth{1, count}
	}
	return m
}()

// lambdaFunctions call what they are given for each element of a list.
var lambdaFunctions = words(`list_transform list_apply array_transform array_apply apply list_filter array_filter filter`)

// reductions feed a value back into itself.
var reductions = words(`list_reduce array_reduce reduce`)

// collectors are aggregates whose value grows with the number of rows. DuckDB's memory limit bounds them.
var collectors = words(`list array_agg string_agg group_concat listagg histogram histogram_exact approx_top_k json_group_array
	json_group_object map_agg`)

// distances take time with the product of their arguments' lengths.
var distances = words(`levenshtein editdist3 damerau_levenshtein jaro_similarity jaro_winkler_similarity`)

// expanding are macros that write their arguments more than once.
var expanding = words(`fmod fdiv nullif date_add split_part wavg weighted_avg array_to_string round_even roundbankers geomean array_append
	array_prepend array_push_back array_push_front list_append list_prepend array_reverse list_reverse`)

// refused are functions that people ask for, with why they get none.
var refused = map[string]string{
	"current_setting": "it tells about the server", "getenv": "it tells about the server", "getvariable": "there are no variables",
	"write_log": "it writes", "nextval": "it writes", "setseed": "it writes", "pg_sleep": "it only waits", "sleep_ms": "it only waits",
	"range":           "as a scalar it can make values of any size; use it as a table: FROM range(…)",
	"generate_series": "as a scalar it can make values of any size; use it as a table: FROM generate_series(…)",
	"bitstring":       "it can make values of any size", "json_pretty": "it can make values of any size",
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// similar names a function that people may use, for one that they may not.
func similar(name string) string {
	for _, known := range slices.Sorted(maps.Keys(growths)) {
		if len(name) > 3 && len(known) > 3 && (strings.HasPrefix(known, name) || strings.HasPrefix(name, known)) {
			return known
		}
	}
	return ""
}
