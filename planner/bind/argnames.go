package bind

import "strings"

// argNames are the parameter names of functions that are called by name.
var argNames = func() map[uint32][]string {
	m := map[uint32][]string{}
	for oid, s := range map[uint32]string{
		1268: "str,strict",
		3305: "jsonb_in,path,replacement,create_if_missing",
		3579: "jsonb_in,path,replacement,insert_after",
		5054: "jsonb_in,path,replacement,create_if_missing,null_value_treatment",
		3461: "year,month,mday,hour,min,sec",
		3462: "year,month,mday,hour,min,sec",
		3463: "year,month,mday,hour,min,sec,timezone",
		3464: "years,months,weeks,days,hours,mins,secs",
		3846: "year,month,day",
		3847: "hour,min,sec",
		3208: "from_json", 3219: "from_json", 3465: "from_json", 3932: "from_json",
		3955: "from_json", 3958: "from_json", 3959: "from_json", 3969: "from_json",
		3214: "from_json,field_name", 3478: "from_json,field_name", 3947: "from_json,field_name", 3948: "from_json,field_name",
		3215: "from_json,element_index", 3216: "from_json,element_index", 3949: "from_json,element_index", 3950: "from_json,element_index",
		4005: "target,path,vars,silent", 4006: "target,path,vars,silent", 4007: "target,path,vars,silent",
		4008: "target,path,vars,silent", 4009: "target,path,vars,silent",
		1177: "target,path,vars,silent", 1179: "target,path,vars,silent", 1180: "target,path,vars,silent",
		2023: "target,path,vars,silent", 2030: "target,path,vars,silent",
		3960: "base,from_json,use_json_as_text", 3961: "base,from_json,use_json_as_text",
	} {
		m[oid] = strings.Split(s, ",")
	}
	return m
}()
