'use strict';
// The explorer: pick an exit of L2 in a traced run, see who ran until L2 went on. Text goes in as text, not as markup.
(() => {
const runs = JSON.parse(document.getElementById('traces').textContent);
const by = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const LEVELS = ['L2', 'L1', 'L0'];
const LANE = { left: 34, right: 72, top: 10, height: 30, gap: 12, digit: 6.6, letter: 3.4, longest: 30 };
let run, exits = [], at = 0;

// make('td', { class: 'text' }, child...): an element; a child is an element or text.
function make(name, attributes = {}, ...children) {
	return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
	return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
	for (const [key, value] of Object.entries(attributes))
		node.setAttribute(key, value);
	node.append(...children);
	return node;
}

// A figure in groups of three, which are set apart by style alone: what is copied has no spaces.
function figure(number) {
	const groups = String(number).replace(/\B(?=(\d{3})+$)/g, ' ').split(' ');

	if (number < 10000)
		return [String(number)];
	return groups.map((group, i) => i ? make('i', {}, group) : group);
}

const cell = number => make('td', {}, ...figure(number));
const total = exit => exit.l0 + exit.l1;
const kind = exit => `${exit.reason} ${exit.owner}`;
const named = exit => exit.reason + (exit.entry_failed ? ' (an entry that failed)' : '');
const who = level => make('span', { class: `who ${level}` }, level);
const sum = numbers => numbers.reduce((all, number) => all + number, 0);
const exitsOfL1 = exit => sum(Object.values(exit.exits_of_l1));
const runNamed = name => runs.find(candidate => candidate.name === name);

function whichOfL1(exit) {
	return Object.entries(exit.exits_of_l1).map(([reason, count]) => `${reason} ${count}`).join(', ');
}

// A bar of what L0 and L1 ran, of which "most" is all the width there is.
function share(exit, most) {
	const bar = make('span', { class: 'share', 'aria-hidden': 'true' });

	for (const [level, ticks] of [['L0', exit.l0], ['L1', exit.l1]])
		if (ticks)
			bar.append(make('span', { class: level,
				style: `width: ${Math.min(100, 100 * ticks / most)}%` }));
	return bar;
}

function head(...columns) {
	return make('thead', {}, make('tr', {}, ...columns.map(([name, type]) =>
		make('th', { scope: 'col', class: type || '' }, name))));
}

// How wide each step is drawn. On the logarithmic scale each has room for its figure, be it that the lanes scroll.
function widths(steps, linear) {
	const all = sum(steps.map(step => step.ticks));
	const weights = steps.map(step => linear ? Math.max(step.ticks, all / 500) : Math.log2(2 + step.ticks));
	const room = by('lanes').clientWidth - LANE.left - LANE.right - 2;
	const fit = room / sum(weights);
	const unit = linear ? fit : Math.max(fit, ...steps.map((step, i) => figureWidth(step) / weights[i]));

	return weights.map(weight => weight * unit);
}

const figureWidth = step => String(step.ticks).length * LANE.digit + 4;
const laneAt = level => LANE.top + LEVELS.indexOf(level) * (LANE.height + LANE.gap);
const laneMiddle = level => laneAt(level) + LANE.height / 2;

function drawLevels(svg, width) {
	for (const level of LEVELS)
		svg.append(draw('rect', { class: 'lane', x: LANE.left - 4, y: laneAt(level), width: width + 8,
			height: LANE.height }),
		draw('text', { class: 'level', x: 8, y: laneMiddle(level) + 4 }, level));
}

function drawStep(svg, step, i, x, width) {
	const title = draw('title', {}, `${step.who}: ${step.what}, ${step.ticks} ${run.unit}`);

	svg.append(draw('rect', { class: `bar ${step.who}`, 'data-step': i, x: x + .5, y: laneAt(step.who),
		width: Math.max(width - 1, 1), height: LANE.height, rx: 2 }, title));
	if (width >= figureWidth(step) - 2)
		svg.append(draw('text', { class: 'count', x: x + width / 2, y: laneMiddle(step.who) + 4 },
			String(step.ticks)));
}

function shortened(text) {
	return text.length > LANE.longest ? `${text.slice(0, LANE.longest - 1)}\u2026` : text;
}

// What L0 did stands below its lane, where there is room.
function drawLabel(svg, text, x) {
	svg.append(draw('text', { class: 'label',
		transform: `translate(${x - 3} ${laneAt('L0') + LANE.height + 13}) rotate(33)` }, text));
}

// The lanes: a bar for each step, at its level, from left to right.
function drawLanes(exit) {
	const steps = exit.steps;
	const wide = widths(steps, document.querySelector('[name=scale]:checked').value === 'linear');
	const letters = Math.max(...steps.map(step => step.who === 'L0' ? shortened(step.what).length : 0));
	const svg = draw('svg', { width: LANE.left + LANE.right + sum(wide), role: 'img',
		height: laneAt('L0') + LANE.height + 22 + letters * LANE.letter,
		'aria-label': `${steps.length} steps; L0 ran ${exit.l0}, L1 ${exit.l1} ${run.unit}` });
	let x = LANE.left, labelled = -99;

	drawLevels(svg, sum(wide));
	steps.forEach((step, i) => {
		if (i)
			svg.append(draw('line', { class: 'way', x1: x, x2: x, y1: laneMiddle(steps[i - 1].who),
				y2: laneMiddle(step.who) }));
		drawStep(svg, step, i, x, wide[i]);
		if (step.who === 'L0' && x + wide[i] / 2 - labelled > 15) {
			labelled = x + wide[i] / 2;
			drawLabel(svg, shortened(step.what), labelled);
		}
		x += wide[i];
	});
	by('lanes').replaceChildren(svg);
}

function stepRow(step, i, most) {
	const what = make('td', { style: `padding-left: ${.7 + 1.1 * step.depth}rem` }, step.what);
	const width = most ? Math.max(100 * step.ticks / most, .8) : 0;

	for (const note of step.notes || [])
		what.append(make('small', {}, note));
	return make('tr', { 'data-step': i }, make('td', {}, String(i + 1)), make('td', {}, who(step.who)), what,
		cell(step.ticks), make('td', { class: 'bar', 'aria-hidden': 'true' },
			make('span', { class: step.who, style: `width: ${width}%` })));
}

function sumRow(exit, level) {
	const ticks = exit.steps.map(step => step.who === level ? step.ticks : 0);

	return make('tr', { 'data-sum': level }, make('td'), make('td', {}, who(level)), make('td', {}, 'in all'),
		cell(sum(ticks)), make('td'));
}

function showSteps(exit) {
	const most = Math.max(...exit.steps.map(step => step.ticks));

	by('steps').replaceChildren(head(['#'], ['who', 'text'], ['what', 'text'], [run.unit], ['']),
		make('tbody', {}, ...exit.steps.map((step, i) => stepRow(step, i, most))),
		make('tfoot', {}, sumRow(exit, 'L0'), sumRow(exit, 'L1')));
}

// Another run's exit of the same kind that had as many of them before it; or the nearest in the sample.
function counterpart(other, exit) {
	if (other === run)
		return exit;
	return other.exits.filter(candidate => kind(candidate) === kind(exit)).reduce((best, candidate) =>
		!best || Math.abs(candidate.nth - exit.nth) < Math.abs(best.nth - exit.nth) ? candidate : best, null);
}

function compareRow(other, exit, most) {
	const found = counterpart(other, exit);
	const title = make('th', { scope: 'row' }, other.title);

	if (!found)
		return make('tr', {}, title, make('td', { class: 'none text', colspan: 6 }, 'no such exit'));
	return make('tr', other === run ? { class: 'chosen' } : {}, title, make('td', { class: 'text' },
		make('button', { type: 'button', 'data-run': other.name, 'data-exit': found.exit },
			`exit ${found.exit}`)),
		cell(found.l0), cell(found.l1), cell(exitsOfL1(found)), make('td', { class: 'text' }, whichOfL1(found)),
		make('td', { class: 'bar' }, share(found, most)));
}

function showComparison(exit) {
	const most = Math.max(1, ...runs.map(other => counterpart(other, exit)).filter(found => found).map(total));

	by('compare').replaceChildren(head(['run', 'text'], ['exit', 'text'], ['L0'], ['L1'], ['exits of L1'],
		['of which', 'text'], [run.unit, 'text']),
		make('tbody', {}, ...runs.map(other => compareRow(other, exit, most))));
}

function showSums(exit) {
	const rows = [['L0 ran', exit.l0, run.unit], ['L1 ran', exit.l1, run.unit],
		['exits of L1', exitsOfL1(exit), whichOfL1(exit)]];

	by('sums').replaceChildren(...rows.map(([name, number, more]) => make('div', {}, make('dt', {}, name),
		make('dd', {}, ...figure(number), ' ', make('small', {}, more)))));
}

function showExit() {
	const exit = exits[at];

	by('exit').hidden = !exit;
	if (!exit)
		return;
	by('title').replaceChildren(`Exit ${exit.exit}: ${named(exit)}${exit.detail ? `, ${exit.detail}` : ''}`);
	by('about').replaceChildren(`handled by ${exit.owner || 'nobody, for the run ended'}, rip ${exit.rip}, ` +
		`VMCS ${exit.vmcs}, CPU ${exit.cpu}, at ${exit.start}; as text: `,
	make('code', {}, `./turtles trace ${run.folder} --exit ${exit.exit}`));
	showSums(exit);
	drawLanes(exit);
	showSteps(exit);
	showComparison(exit);
	by('previous').disabled = at === 0;
	by('next').disabled = at === exits.length - 1;
	mark();
}

// The list's mark, brought into view without moving the page.
function mark() {
	const list = by('exits'), chosen = list.children[at];
	const above = chosen.offsetTop - list.offsetTop;

	for (const item of list.querySelectorAll('[aria-selected=true]'))
		item.setAttribute('aria-selected', 'false');
	chosen.setAttribute('aria-selected', 'true');
	list.setAttribute('aria-activedescendant', chosen.id);
	if (above < list.scrollTop)
		list.scrollTop = above;
	else if (above + chosen.offsetHeight > list.scrollTop + list.clientHeight)
		list.scrollTop = above + chosen.offsetHeight - list.clientHeight;
}

function item(exit, i, most) {
	return make('div', { role: 'option', id: `option-${i}`, 'aria-selected': 'false', 'data-exit': exit.exit },
		make('span', { class: 'number' }, String(exit.exit)),
		make('span', { class: 'what' }, named(exit), ' ', make('small', {}, exit.detail)),
		make('span', {}, ...figure(total(exit))), share(exit, most));
}

// What nineteen in twenty do not exceed: a few exits are so dear that they would leave nothing to see of the others.
function usual(totals) {
	return Math.max(1, totals.sort((a, b) => a - b)[Math.floor(totals.length * .95)] || 0);
}

// list(number): the exits that the filters leave. Chosen is that one, or the next in the sample; or else the first.
function list(number) {
	const wanted = by('reason').value, word = by('search').value.trim().toLowerCase();
	const most = usual(run.exits.map(total));

	exits = run.exits.filter(exit => (!wanted || kind(exit) === wanted) &&
		(!word || JSON.stringify(exit).toLowerCase().includes(word)));
	at = Math.max(0, exits.findIndex(exit => exit.exit >= (number || 0)));
	by('exits').replaceChildren(...exits.map((exit, i) => item(exit, i, most)));
	if (!exits.length)
		by('exits').append(make('p', { class: 'empty' }, 'No exit is like that.'));
	by('shown').value = `${exits.length} of ${run.exits.length} exits` +
		(run.of > run.exits.length ? `, a sample of the run's ${run.of}` : '');
	showExit();
}

// The reasons of the run's exits; that which was chosen before stays, if this run has it.
function listReasons() {
	const before = by('reason').value, counts = new Map();

	for (const exit of run.exits)
		counts.set(kind(exit), (counts.get(kind(exit)) || 0) + 1);
	by('reason').replaceChildren(make('option', { value: '' }, 'all'), ...[...counts.keys()].sort().map(name =>
		make('option', { value: name }, `${name.replace(' null', ', the last').replace(' L', ', by L')} ` +
			`(${counts.get(name)})`)));
	by('reason').value = counts.has(before) ? before : '';
}

function showRun(chosen, number) {
	const { facts } = run = chosen;

	by('run').value = run.name;
	by('origin').replaceChildren(...(run.command ? [make('code', {}, run.command), ' \u2014 '] : []),
		[facts.emulator_version, facts.cpu_model, facts.cpus && `${facts.cpus} CPU`,
			facts.memory_mib && `${facts.memory_mib} MiB`, facts.commit && `Turtles ${facts.commit}`,
			`all of it is in ${run.folder}`].filter(fact => fact).join(', '));
	listReasons();
	list(number);
}

// To begin with: of the first kind of exit that L1 handled the one in the middle, when L0 has learned what L1 needs.
function typical(chosen) {
	const first = chosen.exits.find(exit => exit.owner === 'L1') || chosen.exits[0];
	const same = chosen.exits.filter(exit => kind(exit) === kind(first));

	return same.length && same[Math.floor(same.length / 2)].exit;
}

// The address names the exit, so that it can be passed on.
function remember() {
	if (exits[at])
		history.replaceState(null, '', `#exit=${run.name}:${exits[at].exit}`);
}

function fromAddress() {
	const [, name, number] = /^#exit=([^:]+):(\d+)$/.exec(location.hash) || [];

	if (!runNamed(name))
		return false;
	by('reason').value = by('search').value = '';
	showRun(runNamed(name), Number(number));
	by('explorer').scrollIntoView();
	return true;
}

function go(to) {
	if (to < 0 || to >= exits.length)
		return;
	at = to;
	showExit();
	remember();
}

// A step is lit in the lanes and in the table.
function lightUp(event) {
	const step = event.target.closest('[data-step]');

	for (const lit of document.querySelectorAll('#explorer .lit'))
		lit.classList.remove('lit');
	if (step)
		for (const lit of document.querySelectorAll(`#explorer [data-step="${step.dataset.step}"]`))
			lit.classList.add('lit');
}

const PAGE_KEYS = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1 };
const LIST_KEYS = { ...PAGE_KEYS, ArrowDown: () => at + 1, ArrowUp: () => at - 1, Home: () => 0,
	End: () => exits.length - 1, PageDown: () => Math.min(at + 10, exits.length - 1),
	PageUp: () => Math.max(at - 10, 0) };

function onKey(event) {
	const keys = event.target.id === 'exits' ? LIST_KEYS : PAGE_KEYS;

	if (event.altKey || event.ctrlKey || event.metaKey || !keys[event.key] ||
			event.target.closest('input, select, .scroll'))
		return;
	event.preventDefault();
	go(keys[event.key]());
}

function onCompare(event) {
	const button = event.target.closest('button');

	if (!button)
		return;
	by('search').value = '';
	showRun(runNamed(button.dataset.run), Number(button.dataset.exit));
	remember();
}

function onItem(event) {
	const chosen = event.target.closest('[role=option]');

	if (chosen)
		go([...by('exits').children].indexOf(chosen));
}

function listen() {
	by('run').addEventListener('change', () => { showRun(runNamed(by('run').value)); remember(); });
	by('reason').addEventListener('change', () => { list(); remember(); });
	by('search').addEventListener('input', () => list(exits[at] && exits[at].exit));
	by('exits').addEventListener('click', onItem);
	by('compare').addEventListener('click', onCompare);
	by('previous').addEventListener('click', () => go(at - 1));
	by('next').addEventListener('click', () => go(at + 1));
	by('explorer').addEventListener('keydown', onKey);
	by('exit').addEventListener('pointerover', lightUp);
	for (const radio of document.querySelectorAll('[name=scale]'))
		radio.addEventListener('change', () => exits[at] && drawLanes(exits[at]));
	addEventListener('hashchange', fromAddress);
	new ResizeObserver(() => exits[at] && drawLanes(exits[at])).observe(by('lanes'));
}

// In the contents, where one is.
function tellPlace(links, id) {
	for (const link of links.values())
		link.removeAttribute('aria-current');
	links.get(id).setAttribute('aria-current', 'true');
	links.get(id).closest('ol').scrollLeft = links.get(id).offsetLeft - 40;
}

// The contents tell where one is; what is folded is printed.
// What is folded is printed.
function frame() {
	const links = new Map([...document.querySelectorAll('nav a')].map(link => [link.hash.slice(1), link]));
	const watcher = new IntersectionObserver(entries => {
		for (const entry of entries.filter(candidate => candidate.isIntersecting))
			tellPlace(links, entry.target.id);
	}, { rootMargin: '-15% 0px -80% 0px' });

	for (const id of links.keys())
		watcher.observe(by(id));
	addEventListener('beforeprint', () =>
		document.querySelectorAll('details').forEach(folded => { folded.open = true; }));
}

by('run').replaceChildren(...runs.map(one => make('option', { value: one.name }, one.title)));
listen();
frame();
if (!fromAddress())
	showRun(runs[0], typical(runs[0]));
})();
