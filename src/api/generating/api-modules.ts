import type { RunModules } from './run.ts'
import type { ModelCatalog } from '../models/model-catalog.ts'

/** What the handlers of requests work with. */
export interface ApiModules extends RunModules {
  readonly catalog: ModelCatalog
}
