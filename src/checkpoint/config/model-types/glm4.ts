import { glm } from './glm.ts'
import type { ModelTypeRow } from './row.ts'

export const glm4: ModelTypeRow = glm
