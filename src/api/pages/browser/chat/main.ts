import { render } from 'preact'
import { followSwarm } from '../shared/live-swarm.ts'
import { html } from '../shared/html.ts'
import { keepOnLeaving } from './model/answering.ts'
import { watchModels } from './model/models.ts'
import { openConversations } from './model/state.ts'
import { App } from './view/app.ts'
import { listenToKeys } from './view/shortcuts.ts'

await openConversations()
render(html`<${App} />`, document.querySelector('#page')!)
listenToKeys()
keepOnLeaving()
void watchModels()
void followSwarm()
