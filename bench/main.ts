import { benchApi } from './api.ts'
import { benchCache } from './cache.ts'
import { benchFairness } from './fairness.ts'
import { benchGrammar } from './grammar.ts'
import { benchHop } from './hop.ts'
import { benchLoad } from './load.ts'
import { benchMoe } from './moe.ts'
import { benchPrefix } from './prefix.ts'
import { benchQuant } from './quant.ts'
import { benchQuantError } from './quant-error.ts'
import { benchSampling } from './sampling.ts'
import { benchSessions } from './sessions.ts'
import { benchTrain } from './train.ts'
import { benchWan } from './wan.ts'
import { benchWire } from './wire.ts'

const BENCHES: Record<string, () => Promise<void>> = {
  api: benchApi,
  cache: benchCache,
  fairness: benchFairness,
  grammar: benchGrammar,
  hop: benchHop,
  load: benchLoad,
  moe: benchMoe,
  prefix: benchPrefix,
  quant: benchQuant,
  'quant-error': benchQuantError,
  sampling: benchSampling,
  sessions: benchSessions,
  train: benchTrain,
  wan: benchWan,
  wire: benchWire,
}

const names = process.argv.slice(2)
for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
  const bench = BENCHES[name]
  if (bench === undefined) {
    console.error(`no bench "${name}"; there are: ${Object.keys(BENCHES).join(', ')}`)
    process.exit(2)
  }
  console.log(`== ${name}`)
  await bench()
}
