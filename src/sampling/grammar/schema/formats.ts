/** Formats of strings as patterns of the whole string; undefined where a format asks nothing. */
export const STRING_FORMATS: ReadonlyMap<string, string | undefined> = stringFormats()

/** Formats of numbers, as bounds. On a string they ask nothing, as those of strings ask nothing of a number. */
export const NUMBER_FORMATS: Readonly<Record<string, { readonly minimum?: number; readonly maximum?: number }>> = {
  int32: { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  // The largest double below 2 ** 63.
  int64: { minimum: -(2 ** 63), maximum: 2 ** 63 - 1024 },
  float: {},
  double: {},
}

function stringFormats(): Map<string, string | undefined> {
  const leapYear = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)'
  const long = '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])'
  const short = '(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)'
  const date = `(?:\\d{4}-(?:${long}|${short}|02-(?:0[1-9]|1\\d|2[0-8]))|${leapYear}-02-29)`
  const hourMinute = '(?:[01]\\d|2[0-3]):[0-5]\\d'
  const time = `${hourMinute}:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]${hourMinute})`

  const count = '\\d{1,9}'
  const dayPart = `(?:${count}Y(?:${count}M)?(?:${count}D)?|${count}M(?:${count}D)?|${count}D)`
  const timePart = `T(?:${count}H(?:${count}M)?(?:${count}S)?|${count}M(?:${count}S)?|${count}S)`

  const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
  const word = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
  const mailbox = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
  const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
  const ipv4 = `(?:${octet}\\.){3}${octet}`

  const hex = '[0-9A-Fa-f]'
  const pathCharacter = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%${hex}{2})`
  const noColon = `(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%${hex}{2})`
  const segments = `(?:/${pathCharacter}*)*`
  const authority = '(?:[A-Za-z0-9._~:-]+@)?[A-Za-z0-9._~-]+(?::\\d{1,5})?'
  const tail = `(?:\\?(?:${pathCharacter}|[/?])*)?(?:#(?:${pathCharacter}|[/?])*)?`
  const absolute = `//${authority}${segments}|/(?:${pathCharacter}+${segments})?`
  const uri = `[A-Za-z][A-Za-z0-9+.-]*:(?:${absolute}|${pathCharacter}+${segments})${tail}`
  const relative = `(?:${absolute}|${noColon}+${segments})?${tail}`
  const base64 = '[A-Za-z0-9+/]'

  return new Map([
    ['date', date],
    ['time', time],
    ['date-time', `${date}T${time}`],
    ['duration', `P(?:${count}W|${dayPart}(?:${timePart})?|${timePart})`],
    ['email', `${mailbox}(?:\\.${mailbox})*@(?:${word}\\.)+${word}`],
    ['hostname', `(?=.{1,253}$)${label}(?:\\.${label})*`],
    ['ipv4', ipv4],
    ['ipv6', ipv6(`${hex}{1,4}`, ipv4)],
    ['uuid', `${hex}{8}-(?:${hex}{4}-){3}${hex}{12}`],
    ['uri', uri],
    ['uri-reference', `(?:${uri}|${relative})`],
    ['json-pointer', '(?:/(?:[^~/]|~[01])*)*'],
    ['byte', `(?:${base64}{4})*(?:${base64}{2}==|${base64}{3}=)?`],
    ['password', undefined],
    ['binary', undefined],
  ])
}

/** All forms of an address: whole, or with one run of zeros left out; IPv4 addresses that are mapped. */
function ipv6(group: string, ipv4: string): string {
  const cut = [1, 2, 3, 4, 5, 6].map((after) => `(?:${group}:){1,${7 - after}}(?::${group}){1,${after}}`)
  const mapped = `::(?:[Ff]{4}:)?${ipv4}`
  return `(?:(?:${group}:){7}${group}|(?:${group}:){1,7}:|${cut.join('|')}|:(?::${group}){1,7}|::|${mapped})`
}
