import type { AnyField } from '../../../src/swarm/frames/fields.ts'
import { COMMON, MESSAGES, type MessageTable } from '../../../src/swarm/frames/messages.ts'
import { RPCS } from '../../../src/swarm/limits.ts'

const MARKS = { required: '', optional: '?', repeated: '*' }

function cell([name, { number, presence, what }]: [string, AnyField]): string {
  return `${number} \`${name}\`${MARKS[presence]}: ${what}`
}

function tableOf(messages: MessageTable): string {
  const rows = Object.entries(messages).map(([kind, { code, fields }]) => {
    const cells = Object.entries(fields).map(cell).join('; ')
    return `| \`${kind}\` | ${code} |${cells === '' ? '' : ` ${cells}`} |`
  })
  return ['| message | no. | fields |', '| --- | --- | --- |', ...rows].join('\n')
}

/** The tables of docs/protocol.md, by rpc and side, as the schema has them. */
export function tablesOf(): Map<string, string> {
  const tables = new Map([['common', tableOf(COMMON)]])
  for (const rpc of RPCS) {
    // A probe is a forward pass.
    if (rpc === 'probe') continue
    tables.set(`${rpc} requests`, tableOf(MESSAGES[rpc].requests))
    tables.set(`${rpc} answers`, tableOf(MESSAGES[rpc].answers))
  }
  return tables
}
