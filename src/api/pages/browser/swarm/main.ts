import { render } from 'preact'
import { html } from '../shared/html.ts'
import { followSwarm } from '../shared/live-swarm.ts'
import { App } from './app.ts'

render(html`<${App} />`, document.querySelector('#page')!)
void followSwarm()
