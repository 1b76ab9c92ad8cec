// Niceties only: the page says everything without them.
(function(){
'use strict';
var d=document,tip=d.createElement('div'),on=null;
tip.id='tip';d.body.appendChild(tip);d.documentElement.className='js';
function cell(e){return e.target.closest&&e.target.closest('.heat td a')}
function hide(){tip.style.display='none'}
// A cell says what it is: its row, its column, and what its case found.
function show(a,x,y){
 var c=d.querySelector(a.getAttribute('href'));
 if(!c)return;
 var b=d.createElement('b'),f=c.querySelector('.one>div'),s='',n;
 b.textContent=c.querySelector('h3').textContent;
 for(n=f&&f.firstChild;n&&n.nodeName!=='TABLE';n=n.nextSibling)s+=n.textContent;
 tip.replaceChildren(b,s.slice(0,300));
 tip.style.display='block';
 var w=tip.offsetWidth,h=tip.offsetHeight;
 tip.style.left=Math.max(4,Math.min(x+14,innerWidth-w-6))+'px';
 tip.style.top=(y+18+h>innerHeight?y-h-10:y+18)+'px';
}
d.addEventListener('mousemove',function(e){var a=cell(e);a?show(a,e.clientX,e.clientY):hide()});
d.addEventListener('focusin',function(e){var a=cell(e);if(a){var r=a.getBoundingClientRect();show(a,r.left,r.bottom-12)}});
d.addEventListener('focusout',hide);
d.addEventListener('scroll',hide,true);
// Of the cells, Tab finds one; the arrows go from there.
var home=d.querySelector('.heat td a');
d.querySelectorAll('.heat td a').forEach(function(a){if(a!==home)a.tabIndex=-1});
function stand(a){if(home)home.tabIndex=-1;home=a;a.tabIndex=0}
function mark(){
 d.querySelectorAll('.heat a.on').forEach(function(a){a.classList.remove('on')});
 on=/^#case-\d+$/.test(location.hash)?d.querySelector('.heat a[href="'+location.hash+'"]'):null;
 if(on){on.classList.add('on');stand(on)}
}
addEventListener('hashchange',mark);mark();
// A case's command, into the clipboard.
d.querySelectorAll('.alone').forEach(function(pre){
 var b=d.createElement('button'),c=pre.querySelector('code');
 b.type='button';b.textContent='Copy';pre.appendChild(b);
 b.addEventListener('click',function(){
  function done(){b.textContent='Copied';setTimeout(function(){b.textContent='Copy'},1500)}
  function select(){getSelection().selectAllChildren(c);if(d.execCommand('copy'))done()}
  navigator.clipboard?navigator.clipboard.writeText(c.textContent).then(done,select):select();
 });
});
// The arrows walk over the heat map, from the cell that has the focus or from the
// case that is open, which goes along; Escape closes it.
d.addEventListener('keydown',function(e){
 var at=cell(e)||on;
 if(!at||e.altKey||e.ctrlKey||e.metaKey)return;
 if(e.key==='Escape'){if(on){at=on;location.hash='closed';at.focus()}return}
 var td=at.parentNode,tr=td.parentNode,i=Array.prototype.indexOf.call(tr.cells,td),to=null;
 if(e.key==='ArrowLeft')while(!to&&--i>0)to=tr.cells[i].querySelector('a');
 else if(e.key==='ArrowRight')while(!to&&++i<tr.cells.length)to=tr.cells[i].querySelector('a');
 else if(e.key==='ArrowUp'||e.key==='ArrowDown'){
  var step=e.key==='ArrowUp'?'previousElementSibling':'nextElementSibling';
  for(tr=tr[step];tr&&!to;tr=tr[step])to=tr.cells[i]&&tr.cells[i].querySelector('a');
 }else return;
 if(to){e.preventDefault();if(on)location.hash=to.getAttribute('href');stand(to);to.focus()}
});
})();
